"""`elastic compare`: criteria with allocations over seeds, held against random scores and uniform widths."""

import dataclasses
import hashlib
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from elastic.cli import options
from elastic.cli.groups import takes_groups
from elastic.cli.printing import note, say, show, table

if TYPE_CHECKING:
    from torch import Tensor
    from torch.utils.data import DataLoader

    from elastic.comparing import Comparison, Progress, Run


@takes_groups
def compare(
    *,
    model: options.Model,
    target: Annotated[str, typer.Option(help="macs=50%, params=1.2M, size=3MB; several limits with commas.")],
    data: options.Images,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The file of all runs (.jsonl); runs that it holds are not repeated.")
    ],
    weights: options.TrainedWeights,
    criterion: Annotated[
        list[str] | None,
        typer.Option(help="What ranks units, as of `elastic prune`; repeatable. Default: magnitude, energy, taylor."),
    ] = None,
    allocation: Annotated[
        list[str] | None,
        typer.Option(
            help="How scores become widths: global, global-none, global-max, global-gaussian, per-macs, per-params, "
            "per-size, isomorphic; repeatable. Default: global, per-macs."
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Times that each is run: other images, other random scores.")] = 3,
    calibration: Annotated[int, typer.Option(min=1, help="Training images for criteria and repair.")] = 256,
    recover: Annotated[
        bool, typer.Option("--recover/--no-recover", help="Repair each network without labels before it is judged.")
    ] = True,
    keep_at_least: Annotated[
        float, typer.Option(min=0.001, help="Channels that every layer keeps; below 1, a share of it.")
    ] = 2,
    markdown: Annotated[
        Path | None, typer.Option("--table", help="A file for the table as Markdown (.md) as well.")
    ] = None,
    opening: options.Opening,
    limit: options.Limit = None,
    batch: options.Batch = 250,
    download: options.Download = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the table of --table if it exists.")] = False,
    json: options.Json = False,
) -> None:
    """Find out which criterion and which allocation suit a network; random and uniform are always there as controls.

    Runs are kept in the output as they are made: the same command goes on where it was stopped, and one with more
    seeds, criteria or allocations adds to it.

    Example: elastic compare elastic/resnet56 --weights w.safetensors --data cifar10:DIR --target macs=50% -o runs.jsonl
    """
    from elastic import comparing
    from elastic.cli.networks import check_output, open_calibration, open_data, open_model
    from elastic.data import images_loader
    from elastic.importance import NoInformation

    check_output(output, overwrite=True, suffix=".jsonl")  # what it holds is added to, or refused
    if markdown is not None:
        check_output(markdown, overwrite, ".md")
    opened = open_model(model, weights, **opening.asked)
    tests = images_loader(open_data(data, opened.preprocessing, download), batch, limit=limit, seed=0)

    def learned_from(seed: int) -> list[tuple["Tensor", "Tensor"]]:
        return open_calibration(data, opened.preprocessing, calibration, batch, seed, download)

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", NoInformation)
        compared = comparing.compare(
            opened.model,
            opened.example,
            target=target,
            criteria=criterion or ["magnitude", "energy", "taylor"],
            allocations=allocation or ["global", "per-macs"],
            measure=lambda network: comparing.hits(network.float(), tests),
            seeds=range(seeds),
            data=learned_from,
            recover=recover,
            keep_at_least=keep_at_least,
            settings=_settings(data, tests, learned_from(0)) | {"batch": str(batch)},
            path=output,
            progress=_lines(),
        )
    for text in dict.fromkeys(str(warning.message) for warning in told):
        note(f"note: {text}")
    if markdown is not None:
        markdown.write_text(comparing.markdown(compared), encoding="utf-8")
    show(_result(compared, output), json, lambda: _render(compared, output))


def _settings(
    data: str, tests: "DataLoader[tuple[Tensor, Tensor]]", learned_from: Sequence[tuple["Tensor", "Tensor"]]
) -> dict[str, str]:
    """Return what the runs of one file must have in common, by content: a folder of images may move."""
    images = sum(len(labels) for _, labels in learned_from)
    total = len(tests.dataset)  # type: ignore[arg-type]
    first = next(iter(tests))[0][:1]
    return {
        "data": data.partition(":")[0],
        "test images": f"{total:,} ({_digest([first])})",
        "calibration images": f"{images:,} ({_digest([batch for batch, _ in learned_from])})",
    }


def _digest(batches: Sequence["Tensor"]) -> str:
    digest = hashlib.sha256()
    for images in batches:
        digest.update(images.numpy().tobytes())
    return digest.hexdigest()[:8]


def _lines() -> "Progress":
    start, made = time.perf_counter(), 0

    def show_run(run: "Run", done: int, total: int) -> None:
        nonlocal made
        made += 1
        left = (time.perf_counter() - start) / made * (total - done) / 60
        measured = f"{run.cut.accuracy:.2f} % cut"
        measured += "" if run.recovered is None else f", {run.recovered.accuracy:.2f} % repaired"
        name = f"{run.criterion}, {run.allocation}, seed {run.seed}"
        note(f"{done} of {total}: {name}: {measured}; about {left:.0f} min left")

    return show_run


def _result(compared: "Comparison", output: Path) -> dict[str, Any]:
    header = compared.header
    choices = [
        dataclasses.asdict(row) | {"is_control": row.is_control, "beats_controls": row.beats_controls}
        for row in compared.rows
    ]
    return {
        "output": str(output), "target": header.target, "recover": header.recover, "settings": header.settings,
        "runs": len(compared.runs), "images": compared.images, "whole": header.whole.accuracy, "choices": choices,
    }  # fmt: skip


def _render(compared: "Comparison", output: Path) -> None:
    from elastic import comparing

    heads, rows = comparing.cells(compared)
    table(heads, rows, left=(0, 1, len(heads) - 3, len(heads) - 1))
    for line in comparing.about(compared):
        say(line)
    say(f"{output}: {len(compared.runs)} runs")
