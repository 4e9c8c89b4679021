"""Table: the times of a network's layers that were measured on a machine, and the file that they are in.

The file is lines of JSON: the first says what was measured, every other one is one sub-network with the time of the
whole and of each layer in it. Nothing that is fitted is kept: it is fitted when it is first asked for.
"""

import statistics
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from elastic.allocation.products import FloatArray
from elastic.allocation.sums import Sums
from elastic.errors import FileFormatError, LatencyMismatch, PathError
from elastic.journal import Journal, open_journal, parsed
from elastic.latency.machine import Machine, this_machine
from elastic.latency.predicting import Fitted, Layer, Predictor, fit
from elastic.latency.sampling import Role
from elastic.plan import BoolArray, Plan

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
BEGINNING = b'{"kind":"elastic latency table"'
LEAST = 3  # networks without which nothing is fitted
STRICT = ConfigDict(frozen=True, extra="forbid", strict=True)

OTHERWISE = {  # what a header says otherwise, in the order in which it is told
    "plan": "another network, or traced or frozen otherwise",
    "layers": "another network",
    "shape": "another batch or resolution",
    "dtype": "another dtype",
    "runtime": "another runtime",
    "device": "another device",
    "machine": "another machine, or another version of the runtime",
    "threads": "another number of threads",
    "seed": "another seed",
}
LONG = ("plan", "layers")  # what is not shown


class Header(BaseModel):
    """What was measured."""

    model_config = STRICT

    kind: Literal["elastic latency table"] = "elastic latency table"
    version: Literal[1] = 1
    name: str  # of the network, for people
    plan: str  # digest
    layers: Annotated[tuple[Layer, ...], Field(min_length=1)]
    shape: Annotated[tuple[Count, ...], Field(min_length=1)]  # of the input, with its batch
    dtype: str
    runtime: str
    device: Literal["cpu", "cuda"]
    machine: Machine
    threads: Count
    seed: Annotated[int, Field(ge=0)]


class Point(BaseModel):
    """One sub-network that was measured."""

    model_config = STRICT

    role: Role
    number: Annotated[int, Field(ge=0)]
    seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)]  # of the whole network: median and quartiles
    low: Seconds
    high: Seconds
    runs: Count
    reference: Annotated[float, Field(gt=0, allow_inf_nan=False)]  # seconds of the reference, in the same turns
    widths: tuple[tuple[Count, Count, Count], ...]  # of each layer: inputs, outputs, what comes behind
    inside: dict[str, Seconds]  # median of each layer; empty where the runtime doesn't tell
    missed: float | None = None  # by what share the prediction from the points before it was off


@dataclass(frozen=True)
class Errors:
    """How far predictions are from networks that weren't fitted, as shares of their times."""

    median: float
    worst: float
    networks: int


@dataclass(frozen=True, eq=False)
class Table:
    """What was measured of one network; `predict` tells the time of any of its sub-networks."""

    header: Header
    points: tuple[Point, ...]

    def predict(self, stays: BoolArray, plan: Plan) -> FloatArray:
        """Return the seconds of networks that keep the units where `stays` [..., units] is true, [...].

        `plan` is of the network that was measured; other layers of it may be frozen. For many choices take `on`.

        Raises PlanMismatch if it is of another network, LatencyMismatch if too little was measured.
        """
        predictor = self.on(plan)
        lengths = [predictor.sums.lengths(row) for row in stays.reshape(-1, plan.units)]
        found: FloatArray = predictor.seconds(np.stack(lengths)).reshape(stays.shape[:-1])
        return found

    def on(self, plan: Plan, sums: Sums | None = None) -> Predictor:
        """Return what tells the seconds of thousands of networks at once, by the lengths of a plan's axes (`Sums`)."""
        return Predictor(self.fitted, sums or Sums(plan))

    @cached_property
    def fitted(self) -> Fitted:
        """What is fitted to the points, but to those that only check it."""
        points = [point for point in self.points if point.role == "fit"]
        if len(points) < LEAST:
            raise LatencyMismatch(
                f"the latency table of {self.header.name} holds {len(points)} networks, {LEAST} are the least; profile "
                "into it again, which goes on there"
            )
        return fit(
            self.header.layers,
            np.array([point.widths for point in points]),
            [{layer: self._share(point) * each for layer, each in point.inside.items()} for point in points],
            np.array([self.steady(point) for point in points]),
        )

    def layers(self) -> list[tuple[str, float, list[int]]]:
        """Return name, seconds, and steps of inputs and outputs, of each layer that the runtime has, in forward order.

        The seconds are those of the whole network.
        """
        fitted = self.fitted
        found = fitted.factor * fitted.staircases.seconds(np.array(self.whole.widths))
        rows = zip(fitted.layers, found.tolist(), fitted.staircases.steps.tolist(), strict=True)
        return [(layer.name, seconds, steps) for layer, seconds, steps in rows if seconds]

    @property
    def whole(self) -> Point:
        """The whole network."""
        return next(point for point in self.points if point.role == "fit" and point.number == 0)

    def steady(self, point: Point) -> float:
        """Return the seconds that a network takes when the machine is as fast as it was for most networks."""
        return point.seconds * self._share(point)

    def _share(self, point: Point) -> float:
        return self._reference / point.reference

    @cached_property
    def _reference(self) -> float:
        return statistics.median(point.reference for point in self.points)

    @cached_property
    def errors(self) -> Errors | None:
        """The errors for the networks that were measured only to check predictions; None where none was."""
        points = [point for point in self.points if point.role == "check"]
        if not points:
            return None
        told = self.fitted.seconds(np.array([point.widths for point in points]))
        found = [abs(float(each) / self.steady(point) - 1) for each, point in zip(told, points, strict=True)]
        return Errors(statistics.median(found), max(found), len(found))


def read_table(path: str | Path, *, elsewhere: bool = False) -> Table:
    """Return the table of a file that `profile` wrote; `elsewhere` says that it may be of another machine.

    Raises PathError if it can't be read, FileFormatError if it is no such file, LatencyMismatch if it was measured on
    another machine, or with another version of the runtime.
    """
    path = Path(path)
    if not path.exists():
        raise PathError(f"can't read {path}: there is no such file")
    journal = open_journal(path)
    header = _header(journal)
    if not elsewhere and (here := this_machine(header.runtime, header.device)) != header.machine:
        raise LatencyMismatch(
            f"{path} was measured on {header.machine}; this is {here}; profile here, or say that it may be of another "
            "machine (elsewhere=True, --elsewhere)"
        )
    return Table(header, tuple(_points(journal, header)))


def is_table(path: str | Path) -> bool:
    """Return whether a file begins as those that `profile` writes."""
    with Path(path).open("rb") as file:
        return file.read(len(BEGINNING)) == BEGINNING


def resumed(path: Path, header: Header) -> tuple[Journal, list[Point]]:
    """Write the header where the file is new, cut off a line without an end; return the file, and what is in it.

    Raises LatencyMismatch if the file's header is another, FileFormatError if it is no such file, PathError if it can't
    be read or written.
    """
    journal = open_journal(path)
    if not journal.lines and (header.model_dump_json().encode() + b"\n").startswith(journal.torn):
        journal.append(header)
        return journal, []
    found = _header(journal)
    for key, what in OTHERWISE.items():
        asked, there = getattr(header, key), getattr(found, key)
        if asked != there:
            shown = "" if key in LONG else f" ({there} there, {asked} asked for)"
            raise LatencyMismatch(f"{path} is of {what}{shown}; give another path, or ask for the same")
    points = _points(journal, header)
    journal.cut_torn()
    return journal, points


def _header(journal: Journal) -> Header:
    line = journal.lines[0] if journal.lines else journal.torn
    return parsed(Header, line, f"{journal.path} is no latency table", "give another path")


def _points(journal: Journal, header: Header) -> list[Point]:
    found = []
    for number, line in enumerate(journal.lines[1:], start=2):
        wrong = f"{journal.path} is damaged in line {number}"
        point = parsed(Point, line, wrong, "delete the line")
        if len(point.widths) != len(header.layers):
            raise FileFormatError(
                f"{wrong}: {len(point.widths)} widths for {len(header.layers)} layers; delete the line"
            )
        found.append(point)
    return found
