"""`elastic export`: a level as a file that other programs run."""

from functools import partial
from typing import Annotated

import typer

from elastic.cli import options
from elastic.cli.printing import Steps, say, show
from elastic.sizes import size_text


def export(
    file: options.File,
    output: options.Output,
    to: Annotated[str, typer.Option(help="state-dict, sparse (zeros take a bit), onnx or torch-export.")] = "onnx",
    level: options.Level = None,
    target: Annotated[
        str | None, typer.Option(help="Not a level but macs=40%, or of params, size: anything between two levels.")
    ] = None,
    data: options.Data = None,
    calibration: Annotated[
        int | None, typer.Option(min=1, help="With --target: training images for the repair (512).")
    ] = None,
    recover: Annotated[
        bool | None,
        typer.Option("--recover/--no-recover", help="With --target: fit it (the default), or its norms alone."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**32 - 1, help="With --target: seed of the choice of images (0).")
    ] = None,
    download: options.Download = False,
    model: options.OwnModel = None,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
) -> None:
    """Export a level, or any width between two levels, checked against torch before it is written.

    Example: elastic export net.safetensors --level macs=50% --to onnx -o half.onnx

    Example: elastic export net.safetensors --target macs=40% --data cifar10:data -o forty.onnx
    """
    from elastic import exporting
    from elastic.cli.networks import check_output, level_number, load_level, open_calibration, open_file
    from elastic.errors import UnknownName
    from elastic.widths import load_width

    of_images = {"--calibration": calibration, "--seed": seed, "--download": download or None}
    of_target = {"--data": data, "--recover or --no-recover": recover, **of_images}
    if target is None and (idle := [name for name, value in of_target.items() if value is not None]):
        raise UnknownName(f"{idle[0]} is for a --target between two levels; a level is exported as it is")
    if data is None and (idle := [name for name, value in of_images.items() if value is not None]):
        raise UnknownName(f"{idle[0]} is about images, and there are none; give --data")
    if target is not None and level is not None:
        raise UnknownName(f"--level {level} and --target {target} were given both; leave one out")
    exporting.check_format(to)
    check_output(output, overwrite, exporting.SUFFIXES[to])
    header, preprocessing = open_file(file)
    of_level = partial(load_level, file, header, own_model=model)
    if target is None:
        number = level_number(header, level)
        name, network = header.levels[number].name, of_level(number)
    else:
        images = None
        if data is not None:
            images = open_calibration(data, preprocessing, calibration or 512, 250, seed or 0, download)
        with Steps("fitting layers") as progress:
            network = load_width(
                file, target, data=images, recover=recover is not False, network=of_level, progress=progress
            )
        name = target
    done = exporting.export(network, preprocessing.example(), output, to, overwrite=overwrite)  # type: ignore[arg-type]
    what = "level" if target is None else "target"
    result = {"output": str(output), what: name, "format": done.format, "bytes": done.bytes, "error": done.error}
    show(
        result,
        json,
        lambda: say(
            f"{output}: {what} {name} as {to}, {size_text(done.bytes)}, differs from torch by {done.error:.1e}"
        ),
    )
