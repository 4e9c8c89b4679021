"""`elastic sensitivity`: measure what each group's width costs, once, for `elastic prune --curves` at any target."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from elastic.cli import options
from elastic.cli.groups import takes_groups
from elastic.cli.printing import Steps, note, say, show, table

if TYPE_CHECKING:
    from elastic.sensitivity import Curves

USUAL = "0.75,0.5,0.25,0.125"


def _shares(text: str) -> list[float]:
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(0 < share < 1 for share in found):
        raise typer.BadParameter(f"can't read --widths {text!r}; write shares of a layer with commas, as in {USUAL}")
    return found


@takes_groups
def sensitivity(
    *,
    model: options.Model,
    weights: options.TrainedWeights,
    data: options.Images,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The .jsonl file to write; one of the same measurement goes on.")
    ],
    criterion: Annotated[
        str, typer.Option(help="What ranks the units within a layer: see `elastic prune --help`.")
    ] = "magnitude",
    reduction: Annotated[str, typer.Option(help="Of a unit's elements: sum, mean or max.")] = "sum",
    hessian: Annotated[str, typer.Option(help="With hessian: obd, hutchinson or gauss-newton.")] = "obd",
    calibration: Annotated[int, typer.Option(min=1, help="Training images to measure on, and for criteria.")] = 256,
    widths: Annotated[str, typer.Option(help="Shares of a layer to measure, with commas; one unit always is.")] = USUAL,
    recover: Annotated[
        bool, typer.Option("--recover", help="Fit each narrowed network before it is measured; much slower.")
    ] = False,
    freeze: options.Freeze = None,
    engine: options.Engine = "elastic",
    seed: options.Seed = 0,
    opening: options.Opening,
    batch: options.Batch = 250,
    download: options.Download = False,
    json: options.Json = False,
) -> None:
    """Measure the loss of the network with one layer narrower, for each at several widths; goes on where it stopped.

    Example: elastic sensitivity elastic/resnet56 --weights w.safetensors --data cifar10:data --criterion energy -o
    curves.jsonl
    """
    from elastic.cli.networks import check_output, open_calibration, open_model
    from elastic.importance import NoInformation, score
    from elastic.sensitivity import measure_curves
    from elastic.tracing import trace

    shares = _shares(widths)
    check_output(output, overwrite=True, suffix=".jsonl")
    opened = open_model(model, weights, **opening.asked)
    images = open_calibration(data, opened.preprocessing, calibration, batch, seed, download)
    plan = trace(opened.model, opened.example, freeze=freeze or [], engine=engine)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", NoInformation)
        scores = score(
            opened.model, plan, criterion, seed=seed, data=images,
            reduction=reduction, hessian=hessian,  # type: ignore[arg-type]
        )  # fmt: skip
    for warning in told:
        note(f"note: {warning.message}")
    with Steps("measuring losses") as progress:
        curves = measure_curves(
            opened.model, plan, scores, images,
            widths=shares, recover=recover, criterion=criterion, path=output, progress=progress,
        )  # fmt: skip
    show(_result(output, curves), json, lambda: _render(output, curves, shares))


def _result(output: Path, curves: "Curves") -> dict[str, Any]:
    groups = [
        {"group": name, "units": max(losses), "losses": {str(width): loss for width, loss in losses.items()}}
        for name, losses in zip(curves.names, curves.losses, strict=True)
    ]
    header = curves.header
    return {
        "output": str(output),
        "images": header.samples,
        "criterion": header.criterion,
        "recover": header.recover,
        "groups": groups,
    }


def _render(output: Path, curves: "Curves", shares: list[float]) -> None:
    from elastic.sensitivity import narrowed_to

    def cells(losses: dict[int, float]) -> list[str]:
        units = max(losses)
        widths = [*(narrowed_to(share, units) for share in shares), 1]
        return [str(units), *(f"{losses[width]:.4f}" if width in losses else "" for width in widths)]

    rows = [[name, *cells(dict(losses))] for name, losses in zip(curves.names, curves.losses, strict=True)]
    table(["group", "units", *(f"{share:.4g}" for share in shares), "1 unit"], rows)
    say(f"{output}: losses in nats with one group at these shares, on {curves.header.samples:,} images")
