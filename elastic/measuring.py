"""Measure how long a network takes: the median over runs after a warm-up, with its spread."""

import contextlib
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from elastic.modes import eval_mode


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
    return measure_in_turns([model], example, runs=runs, at_least_seconds=at_least_seconds)[0]


@torch.inference_mode()
def measure_in_turns(
    networks: Sequence[nn.Module], example: Tensor, *, runs: int = 30, at_least_seconds: float = 0.3
) -> tuple[Latency, ...]:
    """Return the latency of each network, as `measure_latency`, one run of each in every turn: all see one machine."""
    seconds: list[list[float]] = [[] for _ in networks]
    with contextlib.ExitStack() as stack:
        for network in networks:
            stack.enter_context(eval_mode(network))
            for _ in range(3):
                network(example)
        while len(seconds[0]) < runs or min(map(sum, seconds)) < at_least_seconds:
            for network, found in zip(networks, seconds, strict=True):
                start = time.perf_counter()
                network(example)
                found.append(time.perf_counter() - start)
    quartiles = [statistics.quantiles(found, n=4) for found in seconds]
    return tuple(
        Latency(median, low, high, len(found)) for (low, median, high), found in zip(quartiles, seconds, strict=True)
    )
