"""Levels: the networks of a plan's levels, timed beside the whole one as a latency table was measured."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np
from torch import Tensor, nn

from elastic.costs import CostModel
from elastic.errors import LatencyMismatch
from elastic.latency.holding import TIMES, Allocate, Held, Progress, hold, warn
from elastic.latency.runtimes import threads_of
from elastic.latency.subnetworks import Subnetworks
from elastic.latency.table import Header, Table
from elastic.measuring import median_seconds
from elastic.modes import eval_mode
from elastic.plan import LevelArray, Plan
from elastic.targets import Target
from elastic.tracing import Example

RUNS, LEAST_SECONDS = 15, 1.0  # of each network
EFFICIENCIES = (1.0, 1.05, 1.1)  # asked for one after the other, until all are faster than uniform cuts
MARGIN = 0.03  # of a uniform cut's time: what is faster by less may be slower when it is measured again
CUTS = TIMES * len(EFFICIENCIES)  # at most

Levels = tuple[LevelArray, tuple[Held | None, ...]]


def held_levels(
    model: nn.Module,
    example: Example,
    plan: Plan,
    targets: Sequence[Target],
    allocate: Allocate,
    table: Table | None,
    uniform: Allocate | None = None,
    progress: Progress | None = None,
) -> Levels:
    """Return levels that hold targets, those of time by measurement, and what was measured; `progress` as of `hold`.

    With `uniform`, another `allocate`, each level is timed beside a uniform cut of its MACs, and where one is not
    faster by a margin `allocate` is asked for more `efficiency` than the table says is enough.

    Raises what `allocate` raises, LatencyMismatch for an example of another shape than the table's.
    """
    if table is None or not any(target.needs_latency for target in targets):
        return allocate(target=targets), ()
    header, whole = table.header, np.zeros(plan.units, np.uint8)
    how: dict[str, Any] = {"runtime": header.runtime, "threads": header.threads, "runs": RUNS, "clock": None}
    networks = Subnetworks(model, batch_of(example, header), plan, reference=whole, **how)
    holding = partial(hold, measure=partial(measure_levels, networks), targets=targets, progress=progress)
    best = holding(allocate) if uniform is None else _keeping_up(networks, holding, allocate, uniform, targets)
    warn(best[1])
    return best


def _keeping_up(
    networks: Subnetworks,
    holding: Callable[[Allocate], Levels],
    allocate: Allocate,
    uniform: Allocate,
    targets: Sequence[Target],
) -> Levels:
    """Return levels of the least efficiency for which all are faster than uniform cuts, or nearest to that."""
    tried, firsts = list[Levels](), list[LevelArray]()
    for efficiency in EFFICIENCIES:
        asked = cache(partial(allocate, efficiency=efficiency))  # what is looked at first is what `hold` begins with
        firsts.append(asked(target=tuple(targets)))
        if any(np.array_equal(firsts[-1], other) for other in firsts[:-1]):
            continue
        levels, held = holding(asked)
        tried.append((levels, _beside_uniform(networks, levels, held, uniform)))
        if all(each.slower <= -MARGIN for each in filter(None, tried[-1][1])):
            break
    return min(tried, key=_missed)


def _missed(one: Levels) -> float:
    """Return by what share a level takes too long, for its target or beside a uniform cut, at most."""
    return max(max(each.over, each.slower + MARGIN) for each in one[1] if each is not None)


def _beside_uniform(
    networks: Subnetworks, levels: LevelArray, held: Sequence[Held | None], uniform: Allocate
) -> tuple[Held | None, ...]:
    """Return what was measured, with the time of a uniform cut of the same MACs; of both in turns, scaled to the first.

    A machine is faster at one time than at another, so it is the ratio of the two that counts.
    """
    costs, cuts = CostModel(networks.plan), dict[tuple[str, int], LevelArray]()
    for level, each in enumerate(held):
        if each is not None:
            cuts["cut", level] = (levels > level).astype(np.uint8)
            cuts["uniform", level] = uniform(target=f"macs={costs.cost(levels <= level).macs}")
    found = _seconds(networks, cuts)
    return tuple(
        each and replace(each, uniform=each.seconds * found["uniform", level] / found["cut", level])
        for level, each in enumerate(held)
    )


def measure_levels(networks: Subnetworks, levels: LevelArray) -> list[float]:
    """Return the median seconds of each level, in turns, as a table's are; the last is the reference, the whole."""
    smaller = range(int(levels.max(initial=0)))
    return list(_seconds(networks, {level: (levels > level).astype(np.uint8) for level in smaller}).values())


def _seconds(networks: Subnetworks, cuts: Mapping[Any, LevelArray]) -> dict[Any, float]:
    """Return the median seconds of networks and, last, of the reference, in turns."""
    with threads_of(networks.threads), eval_mode(networks.model):
        calls = {name: networks.call(levels) for name, levels in cuts.items()}
        calls["reference"] = networks.reference
        return median_seconds(calls, runs=networks.runs, at_least_seconds=LEAST_SECONDS, clock=networks.clock)


def forecast(whole: float, levels: int) -> float:
    """Return about how many seconds it takes to time a cut to so many levels, with a network of `whole` seconds."""
    return (levels + 1) * max(LEAST_SECONDS, RUNS * whole)


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
    return {**how, "measured": [_told(each) for each in held if each is not None]}


def _told(held: Held) -> dict[str, Any]:
    found = {"target": str(held.target), "ms": 1e3 * held.seconds, "whole_ms": 1e3 * held.whole, "cuts": held.cuts}
    return found if held.uniform is None else {**found, "uniform_ms": 1e3 * held.uniform}
