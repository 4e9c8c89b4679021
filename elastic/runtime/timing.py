"""Timing: how long each level takes on this device, and the largest that keeps a deadline."""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from elastic.errors import TargetError, UnknownName
from elastic.measuring import clock_on, in_turns
from elastic.modes import eval_mode

QUANTILES = ("p50", "p99")


@dataclass(frozen=True)
class Timing:
    """Seconds of one forward pass of a level: the median, and what 99 of 100 take at most."""

    level: str
    p50: float
    p99: float
    runs: int


@torch.no_grad()
def measure_levels(network: Any, example: Tensor, *, runs: int = 50) -> dict[str, Timing]:
    """Return the timing of each loaded level, smallest first, in turns, so that all see the same machine."""
    before = network.level
    with eval_mode(network):
        calls = dict.fromkeys(network.levels, lambda: network(example))
        seconds = in_turns(calls, runs=runs, clock=clock_on(example.device), before=network.switch)
        network.switch(before)
    return {level: _timing(level, found) for level, found in seconds.items()}


def choose(timings: Mapping[str, Timing], seconds: float, quantile: str) -> Timing:
    """Return the timing of the largest level that takes at most so many seconds.

    Raises TargetError if none does, UnknownName for another quantile.
    """
    if quantile not in QUANTILES:
        raise UnknownName(f"unknown quantile {quantile!r}; known: {', '.join(QUANTILES)}")
    fast = [timing for timing in timings.values() if getattr(timing, quantile) <= seconds]
    if not fast:
        best = min(timings.values(), key=lambda timing: float(getattr(timing, quantile)))
        raise TargetError(
            f"no level takes at most {seconds * 1e3:g} ms ({quantile}): the fastest, {best.level!r}, takes "
            f"{getattr(best, quantile) * 1e3:.3g} ms; allow more time, or prune to a smaller level"
        )
    return fast[-1]


def _timing(level: str, seconds: list[float]) -> Timing:
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return Timing(level, statistics.median(seconds), cuts[98], len(seconds))
