"""What verbs that train have in common: held-out images, going on where one was stopped, and what is shown."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer

from elastic.cli.printing import Steps, count, note, table
from elastic.sizes import size_text

if TYPE_CHECKING:
    from elastic.metadata import Header
    from elastic.training import Epoch, Moment

Validation = Annotated[
    float,
    typer.Option(
        min=0,
        max=0.5,
        help="Share of the training images that is not trained on: the epoch that is best there is kept.",
    ),
]
Trackers = Annotated[
    list[str] | None,
    typer.Option("--tracker", help="Tell each epoch to tensorboard, wandb, trackio, ... too; repeatable."),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on where the same command was stopped.")]


def beside(output: Path, resume: bool, overwrite: bool) -> dict[str, Any]:
    """Return where a training keeps what it has come to, and its epochs; refuse to go on with one unasked."""
    from elastic.cli.networks import check_output

    keep, log = output.with_suffix(".training"), output.with_suffix(".jsonl")
    refuse_unasked([keep], resume)
    check_output(log, overwrite or resume, ".jsonl")
    return {"keep": keep, "log": log}


def refuse_unasked(kept: list[Path], resume: bool) -> None:
    """Raise OutputExists if there is a training to go on with and nobody asked to; say so if there is none."""
    from elastic.errors import OutputExists

    found = [path for path in kept if path.exists()]
    if found and not resume:
        raise OutputExists(f"{found[0]} is of a training that was stopped; pass --resume to go on, or delete it")
    if resume and not found:
        note(f"there is no {kept[0]} to go on from; it begins")


class Bar(Steps):
    """The progress of a training, with the means over the steps of the epoch."""

    def show(self, moment: "Moment") -> None:
        """Show where it stands."""
        told = f"loss {moment.loss:.3f}, {moment.top1:.1f} %, {moment.images_per_second:,.0f} images a second"
        self(moment.done, moment.total, told)


class Bars:
    """A bar for each of several trainings, by name; all are gone when it ends."""

    def __init__(self) -> None:
        self.shown: dict[str, Bar] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for bar in self.shown.values():
            bar.stop()

    def show(self, name: str, moment: "Moment") -> None:
        """Show where one of them stands."""
        self.shown.setdefault(name, Bar(f"training {name}")).show(moment)
        if moment.done == moment.total:
            self.shown.pop(name).stop()  # another training of this name has a bar of its own


def rows_of(header: "Header") -> list[dict[str, Any]]:
    """Return the levels of a file, with what was measured of each."""
    return [
        {"level": level.name, "params": level.params, "macs": level.macs, "bytes": level.bytes, **level.metrics}
        for level in header.levels
    ]


def show_levels(rows: list[dict[str, Any]]) -> None:
    """Print the levels of a file that were tested."""
    found = [
        [row["level"], count(row["params"]), count(row["macs"]), size_text(row["bytes"]), _percent(row)] for row in rows
    ]
    table(["level", "params", "MACs", "size", "top-1"], found)


def _percent(row: dict[str, Any]) -> str:
    return f"{row['top1']:.2f} %" if "top1" in row else ""


def tell(epoch: "Epoch", of: str = "") -> None:
    """Print an epoch to stderr; `of` names what was trained."""
    held_out = f", {epoch.validation_top1:.2f} % held out" if epoch.validation_top1 is not None else ""
    note(
        f"{of + ', ' if of else ''}epoch {epoch.epoch}: loss {epoch.loss:.4f}, top-1 {epoch.top1:.2f} %{held_out}, "
        f"{epoch.images_per_second:,.0f} images a second"
        + "".join(f", {name.replace('_', ' ')}: {number:g}" for name, number in epoch.told.items())
    )
