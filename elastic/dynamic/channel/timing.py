"""Timing: what layers that skip read in a run, and median seconds of several ways, in turns."""

import statistics
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from elastic.dynamic.channel.inference import skipping_layers
from elastic.dynamic.skipping.choosing import Clock

Runs = Mapping[str, Callable[[], Any]]


def inputs_of_layers(network: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """Return what each layer that skips reads, by name, in the order of the run."""
    seen: dict[str, Tensor] = {}

    def look(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        return lambda layer, inputs: seen.__setitem__(name, inputs[0].clone())

    handles = [layer.register_forward_pre_hook(look(name)) for name, layer in skipping_layers(network).items()]
    try:
        network(images)
    finally:
        for handle in handles:
            handle.remove()
    return seen


def median_seconds(ways: Runs, runs: int, clock: Clock) -> tuple[float, ...]:
    """Return the median of each, in turns, after a warm-up."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(runs + 1):
        for name, way in ways.items():
            begin = clock()
            way()
            if number:
                times[name].append(clock() - begin)
    return tuple(statistics.median(found) for found in times.values())
