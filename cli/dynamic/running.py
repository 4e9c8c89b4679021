"""What both verbs of dynamic gates do: gate levels of a file, look at them, write the folder, print what came out."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from elastic.cli import options
from elastic.cli.finishing import finish
from elastic.cli.gate.files import Files, Folder
from elastic.cli.printing import note
from elastic.cli.training import Bars, Resume, Trackers, rows_of, tell
from elastic.recipes import Recipe

if TYPE_CHECKING:
    from elastic.dynamic_gating import ChannelGating, PrecisionGating


@dataclass(frozen=True)
class Running(options.Group):
    """How a run goes, whatever is gated."""

    level: Annotated[
        list[str] | None, typer.Option(help="A level by name or number, the largest unless given; repeatable.")
    ] = None
    calibration: Annotated[int, typer.Option(min=1, help="Training images that gates begin with.")] = 512
    curve_images: Annotated[
        int, typer.Option(min=1, help="Test images for the curve of accuracy against what is computed.")
    ] = 1000
    maps: Annotated[int, typer.Option(min=1, help="Test images for which it is shown where they were computed.")] = 3
    model: options.OwnModel = None
    folder: Folder = None
    resume: Resume = False
    tracker: Trackers = None
    download: options.Download = False
    overwrite: options.Overwrite = False
    json: options.Json = False


def run(
    file: Path,
    data: str,
    output: Path,
    recipe: Recipe,
    gating: "ChannelGating | PrecisionGating",
    how: Running,
) -> None:
    """Write the file and the folder, and print what came out."""
    from elastic.cli.networks import (
        check_output,
        level_number,
        load_level,
        measure,
        open_data,
        open_file,
        open_training,
    )
    from elastic.data import images_loader
    from elastic.dynamic.report import report_of
    from elastic.dynamic.seeing import see
    from elastic.dynamic_levels import gate_levels_dynamically
    from elastic.training import is_main

    check_output(output, how.overwrite)
    header, preprocessing = open_file(file)
    numbers = [level_number(header, each) for each in how.level or ["largest"]]
    files = Files(output, how.folder, how.resume, how.overwrite)
    tested = open_data(data, preprocessing, how.download)
    learned, _ = open_training(data, preprocessing, 0.0, recipe.seed, how.download)

    def top1(network: Any) -> float:
        return measure(network, tested, what="testing", batch=250).top1

    with Bars() as bars:
        told = gate_levels_dynamically(
            file, output, learned, recipe, gating=gating, levels=numbers, calibration=how.calibration,
            example=preprocessing.example(), network=partial(load_level, file, header, own_model=how.model),
            measure=top1, report=lambda name, epoch: tell(epoch, name), progress=bars.show,
            training={"trackers": how.tracker or ()}, settling=lambda share: _tell_share(share, gating.budget),
            keep=files.keep, log=files.log, overwrite=how.overwrite,
        )  # fmt: skip
    if not is_main():
        return
    made = open_file(output)[0]
    loader = images_loader(tested, 250, limit=how.curve_images, seed=0)
    seen = []
    for number, level in enumerate(made.levels):
        if level.name in told:
            network = load_level(output, made, number, how.model).float()
            seen.append(see(level, network, loader, maps=how.maps, epochs=told[level.name]))
    report = report_of(seen, rows_of(made), gating, str(file))
    result = {
        "computed": {each.level.name: each.spending.as_json() for each in seen},
        "epochs": {name: [epoch.model_dump() for epoch in each] for name, each in told.items()},
    }
    lines = [_line(each.level.name, each.level.metrics) for each in seen]
    finish(output, files, report, result, "what was computed where", how.json, lines)


def _tell_share(share: float, budget: float | None) -> None:
    if budget is not None:
        note(f"settling thresholds: {100 * share:.2f} % of the cost, for a budget of {100 * budget:g} %")


def _line(name: str, metrics: Mapping[str, float]) -> str:
    return f"{name}: {metrics['open']:.1f} % of gates open, {metrics['computed']:.1f} % computed"
