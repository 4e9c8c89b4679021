"""`elastic report`: one page of all levels of a file, with what was measured of them here and now."""

from functools import partial
from json import loads
from pathlib import Path
from typing import Annotated, Any

import typer

from elastic.cli import options
from elastic.cli.printing import note, plain, say, show
from elastic.sizes import size_text

CAN_T_RUN = "names no model of the registry, so nothing is measured or proven; give --model package.module:factory"


def report(
    file: options.File,
    output: Annotated[Path, typer.Option("--output", "-o", help="The page to write (.html).")],
    data: Annotated[
        str | None, typer.Option(help="Measure accuracies anew: cifar10:DIR, digits, ...: see `elastic prune --help`.")
    ] = None,
    latency: Annotated[bool, typer.Option("--latency/--no-latency", help="Measure latency on this machine.")] = True,
    proofs: Annotated[
        bool, typer.Option("--proofs/--no-proofs", help="Prove every level, as `elastic verify`.")
    ] = True,
    to: Annotated[str, typer.Option(help="What proofs export levels as: onnx, torch-export, state-dict.")] = "onnx",
    against: Annotated[Path | None, typer.Option(help="The original weights, to compare with bit for bit.")] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            help="The folder or .jsonl file of a training or of `elastic compare`; what lies beside FILE is found "
            "without it."
        ),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="A folder for the figures as CSV and JSON, the pictures as SVG and PNG.")
    ] = None,
    model: options.OwnModel = None,
    limit: options.Limit = None,
    batch: options.Batch = 250,
    download: options.Download = False,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
) -> None:
    """Show a file as one page: sizes, accuracy, latency, widths, proofs, training curves, recipe.

    The page holds its pictures and figures, needs no network and runs nothing. Accuracies are those that the file
    holds, unless --data is given. Latency is of one image, on as many threads as OMP_NUM_THREADS says.

    Example: elastic report net.safetensors -o report.html
    """
    from elastic import file_report
    from elastic.cli.networks import check_output, load_level, measure, open_data, open_file
    from elastic.errors import UnknownName
    from elastic.metadata import read_header
    from elastic.reporting.storing import to_json

    check_output(output, overwrite, ".html")
    if data is None and (limit is not None or download):
        raise UnknownName(f"{'--download' if limit is None else '--limit'} is of --data, which is not given")
    header = read_header(file)
    given: dict[str, Any] = {"settings": {} if data is None else {"data": data.partition(":")[0]}}
    if file_report.can_run(header, model):
        header, preprocessing = open_file(file)
        given |= {"example": preprocessing.example(), "network": partial(load_level, file, header, own_model=model)}
        if data is not None:
            images = open_data(data, preprocessing, download)
            given["measure"] = partial(measure, data=images, what="testing", batch=batch, limit=limit)
    elif data is not None:
        raise UnknownName(f"{file} {CAN_T_RUN}")
    elif latency or proofs:
        note(f"{file} {CAN_T_RUN}")
    made = file_report.report(
        file, output, latency=latency, proofs=proofs, to=to, against=against, run=run, folder=folder,  # type: ignore[arg-type]
        overwrite=overwrite, told=note, **given,
    )  # fmt: skip
    written = output.stat().st_size
    result = {"output": str(output), "bytes": written, "report": loads(to_json(made))}

    def render() -> None:
        say(plain(made.lead))
        titles = ", ".join(section.title.lower() for section in made.sections)
        say(f"{output}: {titles} in {size_text(written)}" + ("" if folder is None else f"; {folder}: as files too"))

    show(result, json, render)
