"""`elastic gate channels`: one gate for each unit, learned at the price of what it costs, cut and tuned."""

from pathlib import Path
from typing import Annotated, Any

import typer

from elastic.cli import options
from elastic.cli.finishing import finish, save_tested
from elastic.cli.gate.files import Files, Folder
from elastic.cli.groups import takes_groups
from elastic.cli.recipes import takes_given, takes_recipe
from elastic.cli.training import Bars, Resume, Trackers, tell
from elastic.gating import DEFAULT, Gating
from elastic.recipes import Recipe


@takes_recipe(epochs=4, learning_rate=0.02, schedule="cosine", warm_up=0.05, label_smoothing=0.0, distil=0.9)
@takes_given("gating", Gating)
@takes_groups
def channels(
    *,
    model: options.Model,
    data: options.Images,
    output: options.Output,
    weights: options.TrainedWeights,
    recipe: Recipe,
    gating: dict[str, Any],
    target: Annotated[
        list[str] | None,
        typer.Option(help="macs=60%, or of params, size, or of latency with a table; repeat it for more levels."),
    ] = None,
    strength: Annotated[
        list[float] | None,
        typer.Option(help="Not targets but strengths of the price (lambda), each a level; repeatable."),
    ] = None,
    price: Annotated[str, typer.Option(help="With --strength: macs, params, size or latency.")] = "macs",
    latency_table: Annotated[
        Path | None, typer.Option(help="Times of each layer over its widths, as JSON: the price is latency.")
    ] = None,
    preset: Annotated[
        str, typer.Option(help="Settings of gates: hard-concrete, binary or lag; other options go first.")
    ] = DEFAULT,
    gate_images: Annotated[
        int | None, typer.Option(min=2, help="Training images on which gates are learned, all unless given.")
    ] = None,
    fine_tune: Annotated[int, typer.Option(min=0, help="Epochs in which each cut network is trained.")] = 8,
    validation: Annotated[
        float,
        typer.Option(min=0, max=0.5, help="Share of the training images on which gates are judged, soft and hard."),
    ] = 0.02,
    calibration: Annotated[int, typer.Option(min=1, help="Training images for the repair after the cut.")] = 512,
    recover: Annotated[
        bool, typer.Option("--recover/--no-recover", help="Repair each cut network before it is trained.")
    ] = True,
    bounds: options.Bounds,
    folder: Folder = None,
    resume: Resume = False,
    tracker: Trackers = None,
    opened: options.Opening,
    download: options.Download = False,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
) -> None:
    """Learn which channels stay at the price of what they cost, cut the others, and train what is left.

    The weights given are the teacher (--distil), and the largest level of the file, bit for bit. Several targets are
    gone through from the largest on, and give nested levels. The folder has each epoch, tables, pictures and a page.

    Example: elastic gate channels elastic/resnet20 --weights w.pt --data cifar10:data --target macs=60% -o n.safetensors
    """  # noqa: E501
    from elastic.cli.networks import check_output, chosen, measure, open_data, open_model, open_training
    from elastic.gates.channels import closing_stages, gate_channels, gating_of, read_latency_table
    from elastic.gates.channels.report import report_of
    from elastic.training import is_main

    check_output(output, overwrite)
    table = None if latency_table is None else read_latency_table(latency_table)
    settings = gating_of(preset, **gating)
    files = Files(output, folder, resume, overwrite)
    opening = open_model(model, weights, **opened.asked)
    tested = open_data(data, opening.preprocessing, download)
    learned, held_out = open_training(data, opening.preprocessing, validation, recipe.seed, download)

    def top1(network: Any) -> float:
        return measure(network, tested, what="testing", batch=250).top1

    with Bars() as bars:
        pruned, stages = gate_channels(
            opening.model, opening.example, learned, recipe, target=target or (), strength=strength or (), price=price,
            table=table, gating=settings, validation=held_out, calibration=calibration, recover=recover, measure=top1,
            gate_images=None if gate_images is None else chosen(learned, gate_images, recipe.seed),
            fine_tune=recipe.model_copy(update={"epochs": fine_tune}) if fine_tune else None,
            report=lambda name, epoch: tell(epoch, name), progress=bars.show, trackers=tracker or (),
            keep=files.keep, log=files.log, **bounds.asked,
        )  # fmt: skip
    if not is_main():
        return
    whole = top1(pruned.whole)
    last = [list(stage.top1.values())[-1] for stage in reversed(closing_stages(stages))]
    save_tested(output, pruned, opening, [*last, whole], overwrite)
    told = {stage.aim.name: {"costs": dict(stage.costs), "top1": dict(stage.top1)} for stage in stages}
    report = report_of(pruned, stages, whole, model)
    finish(output, files, report, {"stages": told}, "how gates closed", json)
