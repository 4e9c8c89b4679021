"""Levels: the networks of a plan's levels, timed beside the whole one as a latency table was measured."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor, nn

from elastic.errors import LatencyMismatch
from elastic.latency.holding import Allocate, Held, hold
from elastic.latency.runtimes import threads_of
from elastic.latency.subnetworks import Subnetworks
from elastic.latency.table import Header, Table
from elastic.measuring import median_seconds
from elastic.modes import eval_mode
from elastic.plan import LevelArray, Plan
from elastic.targets import Target
from elastic.tracing import Example

RUNS, LEAST_SECONDS = 15, 0.5  # of each network


def held_levels(
    model: nn.Module,
    example: Example,
    plan: Plan,
    targets: Sequence[Target],
    allocate: Allocate,
    table: Table | None,
) -> tuple[LevelArray, tuple[Held | None, ...]]:
    """Return levels that hold targets, those of time by measurement, and what was measured.

    Raises what `allocate` raises, LatencyMismatch for an example of another shape than the table's.
    """
    if table is None or not any(target.needs_latency for target in targets):
        return allocate(targets), ()
    header, whole = table.header, np.zeros(plan.units, np.uint8)
    how: dict[str, Any] = {"runtime": header.runtime, "threads": header.threads, "runs": RUNS, "clock": None}
    networks = Subnetworks(model, batch_of(example, header), plan, reference=whole, **how)
    return hold(allocate, partial(measure_levels, networks), targets)


def measure_levels(networks: Subnetworks, levels: LevelArray) -> list[float]:
    """Return the median seconds of each level, in turns, as a table's are; the last is the reference, the whole."""
    with threads_of(networks.threads), eval_mode(networks.model):
        smaller = range(int(levels.max(initial=0)))
        calls = {level: networks.call((levels > level).astype(np.uint8)) for level in smaller}
        calls[len(smaller)] = networks.reference
        found = median_seconds(calls, runs=networks.runs, at_least_seconds=LEAST_SECONDS, clock=networks.clock)
    return [found[level] for level in calls]


def batch_of(example: Example, header: Header) -> Tensor:
    """Return an example as a batch of a table's size. Raises LatencyMismatch if it is of another shape."""
    if not isinstance(example, Tensor) or tuple(example.shape[1:]) != header.shape[1:]:
        shape = list(example.shape) if isinstance(example, Tensor) else type(example).__name__
        raise LatencyMismatch(
            f"the latency table was measured on inputs of shape {list(header.shape)}, the example is {shape}; give one "
            "of that shape, or profile with this one"
        )
    return example[:1].repeat(header.shape[0], *[1] * (example.dim() - 1))


def told_of(table: Table, held: Sequence[Held | None]) -> dict[str, Any]:
    """Return, as plain data, how times were measured and what came out, in milliseconds, for each level with one."""
    header = table.header
    how = {
        "runtime": header.runtime,
        "threads": header.threads,
        "batch": header.shape[0],
        "machine": str(header.machine),
    }
    levels = [
        {"target": str(each.target), "ms": 1e3 * each.seconds, "whole_ms": 1e3 * each.whole, "cuts": each.cuts}
        for each in held
        if each is not None
    ]
    return {**how, "measured": levels}
