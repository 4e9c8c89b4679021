"""Holding: targets of time are measured once a network is cut, and what it is cut to is corrected until they hold.

A table predicts to a few percent, and what is asked for is what a clock shows. So all levels and the whole network are
timed in turns, and where one misses its target, the next cut is asked for as much less or more.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from elastic.allocation.products import FloatArray
from elastic.errors import TargetError
from elastic.plan import LevelArray
from elastic.targets import LATENCY, Limit, Target

log = logging.getLogger(__name__)

TIMES = 4  # that networks are cut and measured at most
LOW, HIGH = 0.97, 1.02  # of a target: between these a network holds it
AIM = 0.995  # of a target: what a correction aims at

Allocate = Callable[..., LevelArray]  # as `elastic.allocation.allocate` is for a plan: `target`, and maybe `efficiency`
Progress = Callable[[Sequence["Held | None"]], None]  # takes what was measured of each level, smallest first
Measure = Callable[[LevelArray], Sequence[float]]  # seconds of each level, smallest first; the whole network's last


@dataclass(frozen=True)
class Held:
    """One level's target of time, and what the clock showed, in seconds; measured in turns with the whole network."""

    target: Target
    asked: float
    seconds: float
    whole: float
    cuts: int  # that it took
    uniform: float | None = None  # seconds of a uniform cut of as many MACs, in the same turns as another measurement

    @property
    def off(self) -> float:
        """What was measured, in shares of what was asked for."""
        return self.seconds / self.asked

    @property
    def over(self) -> float:
        """By what share of what was asked for too much was measured; 0 where it holds."""
        return max(0.0, self.off - HIGH)

    @property
    def slower(self) -> float:
        """By what share of the uniform cut's time this one takes longer, below 0 for less; 0 where none was timed."""
        return 0.0 if self.uniform is None else self.seconds / self.uniform - 1


def hold(
    allocate: Allocate, measure: Measure, targets: Sequence[Target], progress: Progress | None = None
) -> tuple[LevelArray, tuple[Held | None, ...]]:
    """Return levels whose measured times hold the targets, and what was measured; None for targets without a time.

    What holds is measured twice, and the mean counts. After `TIMES` cuts it is the one that misses least. `progress` is
    told what was measured of each cut.

    Raises what `allocate` raises for targets that can't be reached.
    """
    asked, best, least = tuple(targets), None, float("inf")
    for cuts in range(1, TIMES + 1):
        try:
            levels = allocate(target=asked)
        except TargetError:
            if best is None:
                raise
            break  # the correction asks for more than can leave
        seconds = np.asarray(measure(levels))
        held = _held(targets, seconds, cuts)
        if not _missed(held):  # maybe by chance
            held = _held(targets, (seconds + np.asarray(measure(levels))) / 2, cuts)
        if progress is not None:
            progress(held)
        missed = _missed(held)
        if missed < least:
            best, least = (levels, held), missed
        if not missed:
            break
        asked = tuple(
            target if each is None else _scaled(target, AIM / each.off)
            for target, each in zip(asked, held, strict=True)
        )
    assert best is not None
    return best


def warn(held: Sequence[Held | None]) -> None:
    """Say where more was measured than was asked for, or than a uniform cut of as many MACs takes."""
    for each in filter(None, held):
        if each.over:
            log.warning("%s was asked for, and %.3g ms are measured: %.1f %% too much", each.target,
                        1e3 * each.seconds, 100 * (each.off - 1))  # fmt: skip
        if each.uniform is not None and each.slower > 0:
            log.warning("%s: a uniform cut of as many MACs takes %.3g ms, this one %.3g; with scope=uniform it is that",
                        each.target, 1e3 * each.uniform, 1e3 * each.seconds)  # fmt: skip


def _held(targets: Sequence[Target], seconds: FloatArray, cuts: int) -> tuple[Held | None, ...]:
    return tuple(_held_level(target, seconds, level, cuts) for level, target in enumerate(targets))


def _held_level(target: Target, seconds: FloatArray, level: int, cuts: int) -> Held | None:
    limit = next((limit for limit in target.limits if limit.quantity == LATENCY), None)
    if limit is None:
        return None
    taken, whole = float(seconds[level]), float(seconds[-1])
    asked = limit.share * whole if limit.share is not None else 1e-9 * (limit.amount or 0)
    return Held(target, asked, taken, whole, cuts)


def _missed(held: Sequence[Held | None]) -> float:
    """Return by what share a time is beyond its bounds; too slow counts ten times, since that breaks what was asked."""
    off = [each.off for each in held if each is not None]
    return max(10 * max(0.0, each - HIGH) + max(0.0, LOW - each) for each in off)


def _scaled(target: Target, factor: float) -> Target:
    """Return a target whose time is multiplied; never above the whole network's."""
    return replace(target, limits=tuple(_scaled_limit(each, factor) for each in target.limits))


def _scaled_limit(limit: Limit, factor: float) -> Limit:
    if limit.quantity != LATENCY:
        return limit
    if limit.share is not None:
        return replace(limit, share=min(1.0, limit.share * factor))
    return replace(limit, amount=max(1, round((limit.amount or 0) * factor)))
