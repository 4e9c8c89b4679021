"""Measuring: how long networks take, in turns, so that all see the same machine: medians with their spread."""

import statistics
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from elastic.errors import UnknownName
from elastic.modes import eval_mode

Call = Callable[[], object]
Clock = Callable[[], float]
Name = TypeVar("Name", bound=Hashable)

CLOCKS = ("wall", "thread")
WARM_UP = 3


@dataclass(frozen=True)
class Latency:
    """Seconds of one forward pass: median and quartiles over `runs`."""

    median: float
    low: float
    high: float
    runs: int


def measure_latency(model: nn.Module, example: Tensor, *, runs: int = 30, at_least_seconds: float = 0.3) -> Latency:
    """Return the latency of the model, in eval mode, on the example as it is, on the threads that torch has.

    More than `runs` are made until `at_least_seconds` have passed.
    """
    with eval_mode(model), torch.inference_mode():
        clock = clock_on(example.device)
        found = in_turns({"": lambda: model(example)}, runs=runs, at_least_seconds=at_least_seconds, clock=clock)
    return latency_of(found[""])


def in_turns(
    calls: Mapping[Name, Call],
    *,
    runs: int,
    at_least_seconds: float = 0.0,
    clock: Clock = time.perf_counter,
    warm_up: int = WARM_UP,
    before: Callable[[Name], object] | None = None,
) -> dict[Name, list[float]]:
    """Return the seconds of every run of every call after so many turns of warm-up, one run of each in every turn.

    More than `runs` turns are made until they took `at_least_seconds` for each call. `before` gets the name of what is
    called next, and is not timed.
    """
    seconds: dict[Name, list[float]] = {name: [] for name in calls}
    turn = 0
    while turn < runs + warm_up or sum(map(sum, seconds.values())) < at_least_seconds * len(calls):
        for name, call in calls.items():
            if before is not None:
                before(name)
            start = clock()
            call()
            taken = clock() - start
            if turn >= warm_up:
                seconds[name].append(taken)
        turn += 1
    return seconds


def median_seconds(
    calls: Mapping[Name, Call],
    *,
    runs: int,
    at_least_seconds: float = 0.0,
    clock: Clock = time.perf_counter,
    warm_up: int = WARM_UP,
) -> dict[Name, float]:
    """Return the median of the runs of each call, in turns."""
    found = in_turns(calls, runs=runs, at_least_seconds=at_least_seconds, clock=clock, warm_up=warm_up)
    return {name: statistics.median(seconds) for name, seconds in found.items()}


def latency_of(seconds: list[float]) -> Latency:
    """Return median and quartiles of two runs or more."""
    low, median, high = statistics.quantiles(seconds, n=4)
    return Latency(median, low, high, len(seconds))


def named_clock(name: str, threads: int) -> Clock | None:
    """Return the clock of a name: None for `wall`, the device's own; for `thread` the time of one thread alone.

    Raises UnknownName for another, or for `thread` where several run.
    """
    if name not in CLOCKS:
        raise UnknownName(f"unknown clock {name!r}; known: {', '.join(CLOCKS)}")
    if name == "thread" and threads > 1:
        raise UnknownName(f"clock thread counts one thread, {threads} run; give --threads 1, or --clock wall")
    return time.thread_time if name == "thread" else None


def clock_on(device: torch.device) -> Clock:
    """Return the clock of a device: one that waits until all that it was given is done."""
    if device.type != "cuda":
        return time.perf_counter

    def now() -> float:
        torch.cuda.synchronize(device)
        return time.perf_counter()

    return now
