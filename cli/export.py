"""`elastic export`: a level as a file that other programs run."""

from typing import Annotated

import typer

from elastic.cli import options
from elastic.cli.printing import say, show
from elastic.sizes import size_text


def export(
    file: options.File,
    output: options.Output,
    to: Annotated[str, typer.Option(help="state-dict, onnx or torch-export.")] = "onnx",
    level: options.Level = None,
    model: options.OwnModel = None,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
) -> None:
    """Export a level, checked against torch before it is written.

    Example: elastic export net.safetensors --level macs=50% --to onnx -o half.onnx
    """
    from elastic import exporting
    from elastic.cli.networks import check_output, level_number, load_level, open_file

    exporting.check_format(to)
    check_output(output, overwrite, exporting.SUFFIXES[to])
    header, preprocessing = open_file(file)
    number = level_number(header, level)
    network = load_level(file, header, number, model)
    done = exporting.export(network, preprocessing.example(), output, to, overwrite=overwrite)  # type: ignore[arg-type]
    name = header.levels[number].name
    result = {"output": str(output), "level": name, "format": done.format, "bytes": done.bytes, "error": done.error}
    show(
        result,
        json,
        lambda: say(f"{output}: level {name} as {to}, {size_text(done.bytes)}, differs from torch by {done.error:.1e}"),
    )
