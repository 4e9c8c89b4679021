"""Runs: the epochs and the comparisons that a run left, in files of one JSON line each."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from elastic.comparing import RANDOM, UNIFORM, Comparison, Judgement, about
from elastic.comparing.keeping import BEGINNING, open_book
from elastic.errors import PathError
from elastic.journal import open_journal, parsed
from elastic.metadata import Header
from elastic.reporting import Curves, Part, Section, Table
from elastic.training.records import Epoch

TRAINING = "Losses and accuracies of what was trained on, as it was augmented; held out: of images that were not."
OTHER_WEIGHTS = "It was made with other weights than those of the largest level."
OF_EPOCHS = b'{"epoch":'

Lines = dict[str, list[tuple[float, float | None]]]


@dataclass(frozen=True, eq=False)
class Runs:
    """Epochs by the name of their file, and comparisons of criteria with controls."""

    epochs: dict[str, tuple[Epoch, ...]]
    comparisons: tuple[Comparison, ...]


def runs_beside(path: Path) -> Runs:
    """Return what lies where commands leave it beside the file that they write; that may be nothing."""
    stem = path.with_suffix("")
    own = [stem.with_suffix(".jsonl"), *sorted(path.parent.glob(f"{_escaped(stem.name)}.[0-9]*.jsonl"))]
    return _read([*(each for each in own if each.is_file()), *sorted(stem.with_suffix(".report").glob("*.jsonl"))])


def read_runs(run: Path) -> Runs:
    """Return what a file, or the files of a folder, hold. Raises PathError if there is nothing of a run."""
    found = _read([run] if run.is_file() else sorted(run.glob("*.jsonl")))
    if not found.epochs and not found.comparisons:
        raise PathError(
            f"{run} holds no epochs and no runs of `elastic compare`; give the folder or the .jsonl file of a run"
        )
    return found


def training_section(runs: Runs) -> Section:
    """Return the curves of every training."""
    return Section("Training", TRAINING, tuple(_curves(runs)))


def controls_section(header: Header, runs: Runs) -> Section:
    """Return how choices of criterion and allocation did beside random scores and uniform widths."""
    text = [line for each in runs.comparisons for line in about(each)]
    if any(each.header.weights != header.levels[-1].digest for each in runs.comparisons):
        text.append(OTHER_WEIGHTS)
    tables = tuple(_controls(number, each) for number, each in enumerate(runs.comparisons))
    return Section("Controls", "\n\n".join(text), tables)


def _read(paths: Sequence[Path]) -> Runs:
    epochs: dict[str, tuple[Epoch, ...]] = {}
    comparisons = []
    for path in paths:
        journal = open_journal(path)
        first = journal.lines[0] if journal.lines else b""
        if first.startswith(OF_EPOCHS):
            epochs[path.stem] = tuple(
                parsed(Epoch, line, f"{path}, line {number}", "delete the line")
                for number, line in enumerate(journal.lines, 1)
            )
        elif first.startswith(BEGINNING) and (comparison := _comparison(path)) is not None:
            comparisons.append(comparison)
    return Runs(epochs, tuple(comparisons))


def _comparison(path: Path) -> Comparison | None:
    """Return the seeds of a comparison that every choice was run with, None if there is none yet."""
    book = open_book(path)
    seeds: dict[tuple[str, str], set[int]] = {}
    for run in book.runs.values():
        seeds.setdefault((run.criterion, run.allocation), set()).add(run.seed)
    shared = set.intersection(*seeds.values()) if seeds else set()
    runs = tuple(run for run in book.runs.values() if run.seed in shared)
    return None if book.header is None or not runs else Comparison(book.header, runs)


def _curves(runs: Runs) -> Iterator[Part]:
    losses: Lines = {name: [(each.epoch, each.loss) for each in epochs] for name, epochs in runs.epochs.items()}
    top1: Lines = {name: [(each.epoch, each.top1) for each in epochs] for name, epochs in runs.epochs.items()}
    for name, epochs in runs.epochs.items():
        if any(each.validation_top1 is not None for each in epochs):
            losses[f"{name}, held out"] = [(each.epoch, each.validation_loss) for each in epochs]
            top1[f"{name}, held out"] = [(each.epoch, each.validation_top1) for each in epochs]
    yield Curves("training", "Accuracy", "epoch", "top-1, %", top1)
    yield Curves("loss", "Loss", "epoch", "loss, nats", losses)


def _controls(number: int, comparison: Comparison) -> Table:
    costs, spread = ("MACs, %", "params, %"), ("top-1, %", "least", "most")
    judged = [f"{what} {control}" for control in (RANDOM, UNIFORM) for what in ("points to", "± to", "verdict to")]
    heads = ("criterion", "allocation", *costs, *spread, *judged)
    rows = tuple(
        (
            row.criterion, row.allocation, 100 * row.macs, 100 * row.params, row.last.mean, row.last.low, row.last.high,
            *_judged(row.against_random), *_judged(row.against_uniform),
        )
        for row in comparison.rows
    )  # fmt: skip
    return Table(f"controls-{number}", f"Choices at {comparison.header.target}", heads, rows)


def _judged(judgement: Judgement | None) -> tuple[float | None, float | None, str]:
    if judgement is None:
        return None, None, "control"
    width = judgement.half_width
    return judgement.difference.mean, width if math.isfinite(width) else None, judgement.verdict


def _escaped(name: str) -> str:
    return "".join(f"[{each}]" if each in "*?[" else each for each in name)
