"""Results: runs by choice, with their spread over seeds and what the controls say to them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from elastic.comparing.choices import RANDOM, UNIFORM
from elastic.comparing.judging import Judgement, difference, judge
from elastic.comparing.records import Header, Measured, Run

Name = tuple[str, str]  # criterion, allocation


@dataclass(frozen=True)
class Spread:
    """Accuracy over seeds in percent; the standard deviation is no number for a single seed."""

    mean: float
    deviation: float
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """A choice: one criterion with one allocation, over all seeds."""

    criterion: str
    allocation: str
    seeds: int
    macs: float  # mean share of the whole network's
    params: float
    cut: Spread
    recovered: Spread | None
    is_same_for_all_seeds: bool  # every test image; false for a single seed
    against_random: Judgement | None  # with the same allocation; None for that control itself
    against_uniform: Judgement | None  # by the same criterion

    @property
    def last(self) -> Spread:
        """What is judged: after the repair where there was one."""
        return self.cut if self.recovered is None else self.recovered

    @property
    def is_control(self) -> bool:
        """Whether this is one of the choices that others are held against."""
        return self.criterion == RANDOM or self.allocation == UNIFORM

    @property
    def beats_controls(self) -> bool:
        """Whether it is better than both: its criterion than chance, its allocation than equal shares."""
        judged = (self.against_random, self.against_uniform)
        return all(each is not None and each.verdict == "better" for each in judged)


@dataclass(frozen=True)
class Comparison:
    """All runs, and what they have in common. Every choice was run with the same seeds, the controls too."""

    header: Header
    runs: tuple[Run, ...]

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """Every choice, the best mean first."""
        found = _by_choice(self.runs)
        random = _judged(found, lambda criterion, allocation: (RANDOM, allocation))
        uniform = _judged(found, lambda criterion, allocation: (criterion, UNIFORM))
        rows = [_row(runs, random.get(name), uniform.get(name)) for name, runs in found.items()]
        return tuple(sorted(rows, key=lambda row: -row.last.mean))

    @property
    def images(self) -> int:
        """Test images; 0 where only accuracies are known."""
        return min(run.last.images for run in self.runs)


def _by_choice(runs: Sequence[Run]) -> dict[Name, list[Run]]:
    found: dict[Name, list[Run]] = {}
    for run in sorted(runs, key=lambda run: run.seed):
        found.setdefault((run.criterion, run.allocation), []).append(run)
    return found


def _judged(found: dict[Name, list[Run]], control_of: Callable[[str, str], Name]) -> dict[Name, Judgement]:
    pairs = {name: control_of(*name) for name in found if control_of(*name) != name}
    differences = [difference(_last(found[one]), _last(found[other])) for one, other in pairs.items()]
    return dict(zip(pairs, judge(differences), strict=True))


def _last(runs: Sequence[Run]) -> list[Measured]:
    return [run.last for run in runs]


def _row(runs: Sequence[Run], random: Judgement | None, uniform: Judgement | None) -> Row:
    recovered = [run.recovered for run in runs if run.recovered is not None]
    return Row(
        runs[0].criterion,
        runs[0].allocation,
        len(runs),
        float(np.mean([run.macs for run in runs])),
        float(np.mean([run.params for run in runs])),
        _spread([run.cut for run in runs]),
        _spread(recovered) if recovered else None,
        len(runs) > 1 and len({run.last for run in runs}) == 1,
        random,
        uniform,
    )


def _spread(measured: Sequence[Measured]) -> Spread:
    points = np.array([each.accuracy for each in measured])
    deviation = float(points.std(ddof=1)) if len(points) > 1 else math.nan
    return Spread(float(points.mean()), deviation, float(points.min()), float(points.max()))
