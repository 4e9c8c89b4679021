"""`elastic quantise`: levels of a file in few bits, calibrated or trained."""

from functools import partial
from typing import Annotated, Any

import typer

from elastic.cli import options
from elastic.cli.finishing import finish
from elastic.cli.gate.files import Files, Folder
from elastic.cli.recipes import takes_recipe
from elastic.cli.training import Bars, Resume, Trackers, tell
from elastic.recipes import Recipe


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
    folder: Folder = None,
    resume: Resume = False,
    tracker: Trackers = None,
    download: options.Download = False,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
) -> None:
    """Round weights and inputs of levels to few bits; the largest level stays, and gets one of few bits below it.

    Weights are kept as packed integers. `elastic export --to onnx` writes such a level in integers too. The folder has
    each epoch, tables, pictures and a page.

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
    from elastic.quantise import asked_bits, check_kinds
    from elastic.quantise.report import report_of
    from elastic.told import check_plain_levels
    from elastic.training import is_main

    check_output(output, overwrite)
    check_kinds(steps, ranges)
    header, preprocessing = open_file(file)
    numbers = [level_number(header, each) for each in level or ["largest"]]
    check_plain_levels(header, file, numbers)
    network = partial(load_level, file, header, own_model=model)
    asked_bits(network(numbers[0]), bits)
    files = Files(output, folder, resume, overwrite)
    tested = open_data(data, preprocessing, download)
    learned, _ = open_training(data, preprocessing, 0.0, recipe.seed, download)

    def top1(of: Any) -> float:
        return measure(of, tested, what="testing", batch=250).top1

    with Bars() as bars:
        outcomes = quantising.quantise_levels(
            file, output, learned, recipe if train else None, levels=numbers, bits=bits, weights=steps, ranges=ranges,
            calibration=calibration, network=network, measure=top1, keep=files.keep, log=files.log,
            report=lambda name, epoch: tell(epoch, name), progress=bars.show, training={"trackers": tracker or ()},
            overwrite=overwrite,
        )  # fmt: skip
    if not is_main():
        return
    settings: dict[str, Any] = {"levels": [each.source for each in outcomes], "bits": bits}
    settings |= {"steps": steps, "ranges": ranges, "calibration": calibration}
    settings |= {"recipe": recipe.model_dump(mode="json")} if train else {}
    told = {
        "epochs": {each.name: [epoch.model_dump() for epoch in each.epochs] for each in outcomes},
        "top1": {each.name: dict(each.top1) for each in outcomes},
    }
    finish(output, files, report_of(outcomes, file.name, settings), told, "levels and layers in few bits", json)
