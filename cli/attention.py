"""`elastic attention`: attention to channels is learned by turns with the weights, what has none is cut, and tuned."""

from typing import Annotated, Any

import typer

from elastic.alternating import DEFAULT, Alternation
from elastic.cli import options
from elastic.cli.finishing import finish, save_tested
from elastic.cli.gate.files import Files, Folder
from elastic.cli.groups import takes_groups
from elastic.cli.recipes import takes_given, takes_recipe
from elastic.cli.training import Bars, Resume, Trackers, tell
from elastic.recipes import Recipe


@takes_recipe(epochs=1, learning_rate=0.02, schedule="cosine", warm_up=0.05, label_smoothing=0.0, distil=0.9)
@takes_given("alternation", Alternation)
@takes_groups
def attention(
    *,
    model: options.Model,
    data: options.Images,
    output: options.Output,
    weights: options.TrainedWeights,
    recipe: Recipe,
    alternation: dict[str, Any],
    target: Annotated[
        list[str] | None,
        typer.Option(help="macs=60%, or of params or size; repeat it for more levels; none: all rounds."),
    ] = None,
    price: Annotated[str, typer.Option(help="Without --target: what is counted: macs, params or size.")] = "macs",
    preset: Annotated[
        str, typer.Option(help="Settings of attention: importance or published; other options go first.")
    ] = DEFAULT,
    fine_tune: Annotated[int, typer.Option(min=0, help="Epochs in which each cut network is trained.")] = 8,
    validation: Annotated[
        float,
        typer.Option(min=0, max=0.5, help="Share of the training images that says when accuracy is back."),
    ] = 0.05,
    calibration: Annotated[int, typer.Option(min=1, help="Training images for scores and the repair.")] = 512,
    recover: Annotated[
        bool, typer.Option("--recover/--no-recover", help="Repair each cut network before it is trained.")
    ] = True,
    bits: Annotated[
        list[str] | None,
        typer.Option(help="Round from the start, as W8A8; repeat it for each network in more bits; none: floats."),
    ] = None,
    steps: Annotated[str, typer.Option(help="With --bits: steps of weights, max or learned.")] = "max",
    ranges: Annotated[str, typer.Option(help="With --bits: ranges of inputs, learned, pact or average.")] = "learned",
    bounds: options.Bounds,
    folder: Folder = None,
    resume: Resume = False,
    tracker: Trackers = None,
    opened: options.Opening,
    download: options.Download = False,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
) -> None:
    """Learn by turns what to attend to and the weights, cut channels without attention, and train what is left.

    A round is an epoch of attention, then up to --recovery epochs of weights (not --epochs), until held-out images say
    that accuracy is back. The largest level of the file is the network that you gave, bit for bit. The folder has each
    epoch, tables, pictures and a page.

    Example: elastic attention elastic/resnet20 --weights w.pt --data cifar10:data --target macs=60% -o n.safetensors

    Example: elastic attention elastic/resnet32 --weights w.pt --data cifar10:data --bits W8A8 -o few.safetensors
    """
    from elastic.attending import alternation_of, made_by, prune_by_attention
    from elastic.attending.report import report_of
    from elastic.cli.networks import check_output, measure, open_data, open_model, open_training
    from elastic.training import is_main

    check_output(output, overwrite)
    settings = alternation_of(preset, **alternation)
    files = Files(output, folder, resume, overwrite)
    opening = open_model(model, weights, **opened.asked)
    tested = open_data(data, opening.preprocessing, download)
    learned, held_out = open_training(data, opening.preprocessing, validation, recipe.seed, download)

    def top1(network: Any) -> float:
        return measure(network, tested, what="testing", batch=250).top1

    with Bars() as bars:
        pruned, stages = prune_by_attention(
            opening.model, opening.example, learned, recipe, target=target or (), price=price, alternation=settings,
            bits=bits or (), weights=steps, ranges=ranges,  # type: ignore[arg-type]
            validation=held_out, calibration=calibration, recover=recover, measure=top1,
            fine_tune=recipe.model_copy(update={"epochs": fine_tune}) if fine_tune else None,
            report=lambda name, epoch: tell(epoch, name), progress=bars.show, trackers=tracker or (),
            keep=files.keep, log=files.log, **bounds.asked,
        )  # fmt: skip
    if not is_main():
        return
    whole = top1(pruned.whole)
    last = [list(each.top1.values())[-1] for each in reversed(made_by(stages))]
    save_tested(output, pruned, opening, [*last, whole], overwrite)
    told = {
        stage.aim.name: {"costs": dict(stage.costs), "top1": dict(stage.top1), "rounds": len(stage.rounds)}
        | ({"bits": {each.bits: dict(each.top1) for each in stage.in_all_bits}} if bits else {})
        for stage in stages
    }
    report = report_of(pruned, stages, whole, model)
    finish(output, files, report, {"stages": told}, "what each round closed", json)
