"""`elastic quantise`: levels of a file in few bits, calibrated or trained."""

from functools import partial
from typing import Annotated, Any

import typer

from elastic.cli import options
from elastic.cli.printing import say, show
from elastic.cli.recipes import takes_recipe
from elastic.cli.training import Bars, Resume, Trackers, beside_all, rows_of, show_levels, tell
from elastic.recipes import Recipe
from elastic.sizes import size_text


@takes_recipe(epochs=4, learning_rate=0.01, schedule="cosine", warm_up=0.05, label_smoothing=0.0, distil=0.9)
def quantise(
    file: options.File,
    data: options.Images,
    output: options.Output,
    recipe: Recipe,
    level: Annotated[
        list[str] | None, typer.Option(help="A level by name or number, the largest unless given; repeatable.")
    ] = None,
    bits: Annotated[
        str, typer.Option(help="Bits of weights and inputs, 2 to 8: W8A8; of some layers: W8A8,layer1.*=W4A4,fc=float.")
    ] = "W8A8",
    steps: Annotated[str, typer.Option(help="Steps of weights: max, of each channel, or learned.")] = "max",
    ranges: Annotated[
        str, typer.Option(help="Ranges of inputs: learned (steps), pact (clips) or average.")
    ] = "learned",
    calibration: Annotated[int, typer.Option(min=1, help="Training images that ranges begin with.")] = 512,
    train: Annotated[bool, typer.Option("--train/--no-train", help="Train with rounding, or calibrate alone.")] = True,
    model: options.OwnModel = None,
    resume: Resume = False,
    tracker: Trackers = None,
    download: options.Download = False,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
) -> None:
    """Round weights and inputs of levels to few bits; the largest level stays, and gets one of few bits below it.

    Weights are kept as packed integers. `elastic export --to onnx` writes such a level in integers too.

    Example: elastic quantise net.safetensors --level 50% --bits W8A8 --data cifar10:data -o few.safetensors
    """
    from elastic import quantising
    from elastic.cli.networks import (
        check_output,
        level_number,
        load_level,
        measure,
        open_data,
        open_file,
        open_training,
    )
    from elastic.training import is_main

    check_output(output, overwrite)
    header, preprocessing = open_file(file)
    numbers = [level_number(header, each) for each in level or ["largest"]]
    files = beside_all(output, len(set(numbers)), resume, overwrite) if train else {}
    tested = open_data(data, preprocessing, download)
    learned, _ = open_training(data, preprocessing, 0.0, recipe.seed, download)

    def top1(network: Any) -> float:
        return measure(network, tested, what="testing", batch=250).top1

    with Bars() as bars:
        told = quantising.quantise_levels(
            file, output, learned, recipe if train else None, levels=numbers, bits=bits, weights=steps, ranges=ranges,
            calibration=calibration, network=partial(load_level, file, header, own_model=model), measure=top1,
            report=lambda name, epoch: tell(epoch, name), progress=bars.show, training={"trackers": tracker or ()},
            overwrite=overwrite, **files,
        )  # fmt: skip
    if not is_main():
        return
    for number in range(len(told) if train else 0):
        output.with_suffix(f".{number}.training").unlink(missing_ok=True)
    rows, written = rows_of(open_file(output)[0]), output.stat().st_size
    epochs = {name: [epoch.model_dump() for epoch in each] for name, each in told.items()}
    result = {"output": str(output), "bytes": written, "levels": rows, "epochs": epochs}

    def render() -> None:
        show_levels(rows)
        say(f"{output}: {len(rows)} levels in {size_text(written)}")

    show(result, json, render)
