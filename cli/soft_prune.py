"""`elastic soft-prune`: train a network while the units that are to leave are set to zero, and may come back."""

from typing import Annotated, Any

import typer

from elastic.cli import options
from elastic.cli.groups import takes_groups
from elastic.cli.printing import say, show
from elastic.cli.recipes import takes_recipe
from elastic.cli.training import Bar, Resume, Trackers, beside, rows_of, show_levels, tell
from elastic.recipes import Recipe
from elastic.sizes import size_text


@takes_recipe(epochs=15, learning_rate=0.05)
@takes_groups
def soft_prune(
    *,
    model: options.Model,
    data: options.Images,
    target: Annotated[
        list[str],
        typer.Option(help="macs=50%, params=1.2M, size=3MB; several limits with commas; repeat it for more levels."),
    ],
    output: options.Output,
    recipe: Recipe,
    weights: options.Weights = None,
    ramp: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the epochs in which the cost falls to the smallest target.")
    ] = 0.5,
    criterion: Annotated[str | None, typer.Option(help="What ranks units: energy unless given.")] = None,
    calibration: Annotated[int, typer.Option(min=1, help="Training images for scores and repair.")] = 512,
    recover: Annotated[
        bool, typer.Option("--recover/--no-recover", help="Repair the levels after the cut, without labels.")
    ] = True,
    normalisation: options.Normalisation = None,
    scope: options.Scope = None,
    per: options.Per = None,
    bounds: options.Bounds,
    resume: Resume = False,
    tracker: Trackers = None,
    opening: options.Opening,
    download: options.Download = False,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
) -> None:
    """Train a network while units that are to leave are set to zero after each epoch, and cut it at the end.

    Units at zero go on learning, so some come back. The weights given are the teacher (--distil), and the trained
    network is the largest level of the file.

    Example: elastic soft-prune elastic/resnet20 --weights w.safetensors --data cifar10:data --target macs=50% -o n.safetensors
    """  # noqa: E501
    import torch

    from elastic import soft_pruning
    from elastic.cli.networks import check_output, measure, open_data, open_file, open_model, open_training
    from elastic.targets import parse_target
    from elastic.training import is_main

    check_output(output, overwrite)
    targets = [parse_target(text) for text in target]
    files = beside(output, resume, overwrite)
    torch.manual_seed(recipe.seed)
    opened = open_model(model, weights, **opening.asked)
    tested = open_data(data, opened.preprocessing, download)
    learned, _ = open_training(data, opened.preprocessing, 0.0, recipe.seed, download)
    asked: dict[str, Any] = {
        "criterion": criterion, "normalisation": normalisation, "scope": scope, "per": per,
        "recover": recover, **bounds.asked,
    }  # fmt: skip
    with Bar("training") as bar:
        pruned, epochs = soft_pruning.soft_prune(
            opened.model, opened.example, learned, recipe, target=targets, ramp=ramp, calibration=calibration,
            teacher=None if weights is None else opened.model, seed=recipe.seed,
            training={"report": tell, "progress": bar.show, "trackers": tracker or (), **files}, **asked,
        )  # fmt: skip
    if not is_main():
        return
    found = {
        name: measure(pruned.level(number), tested, what=f"testing {name}", batch=250).top1
        for number, name in enumerate(pruned.names)
    }
    pruned.save(
        output,
        model_name=opened.name,
        arguments=opened.arguments,
        input=opened.preprocessing.to_dict(),
        metrics={name: {"top1": top1} for name, top1 in found.items()},
        overwrite=overwrite,
    )
    files["keep"].unlink(missing_ok=True)
    rows, back = rows_of(open_file(output)[0]), soft_pruning.came_back(epochs)
    told = [epoch.model_dump() for epoch in epochs]
    written = output.stat().st_size
    result = {"output": str(output), "bytes": written, "levels": rows, "came_back": back, "epochs": told}

    def render() -> None:
        show_levels(rows)
        say(f"{output}: {len(rows)} levels in {size_text(written)}; units came back {back:,} times")

    show(result, json, render)
