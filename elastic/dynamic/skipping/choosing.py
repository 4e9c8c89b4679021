"""Choosing: which way is the fastest on this machine for what is open now.

The time of each way is measured for several counts of what it computes, and looked up at run time by the count at hand.
Dense is taken unless another way was measured to save a twentieth, so a mask that is all open costs what dense does.
"""

import math
import statistics
import time
from collections.abc import Mapping, MutableMapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elastic.dynamic.skipping.conditional import Conditional
from elastic.dynamic.skipping.masks import kind_of
from elastic.dynamic.skipping.ways import DENSE, WAYS, Way
from elastic.measuring import Call, Clock, median_seconds

SHARES = (0.0, 0.05, 0.15, 0.3, 0.5, 0.75, 1.0)  # of a mask that are open
HOPELESS = 1.5  # times dense, beyond which larger shares are not measured
WORTH = 0.95  # of the time of dense: what another way must not exceed, so that errors of measuring cost little
ASKING = 0.02  # of the time of dense: what counting for a way must not exceed, as dense pays for it too
SQUARES = {32: 8, 8: 4, 0: 1}  # pixels a side of what is opened, from so many pixels a side of outputs on


@dataclass(frozen=True)
class Curve:
    """Seconds of a way for rising counts of what it computes."""

    counts: tuple[int, ...]
    seconds: tuple[float, ...]

    def at(self, count: int) -> float:
        """Return the seconds for a count, on straight lines between those measured; infinite beyond the last."""
        return float(np.interp(count, self.counts, self.seconds, right=math.inf))


@dataclass(frozen=True)
class Choice:
    """Seconds of the dense way, and curves of those that are faster for some masks; for one layer and size."""

    dense: float
    curves: Mapping[str, Curve]

    def way(self, mask: Tensor, outputs: int) -> str:
        """Return the name of the fastest way for this mask of so many output channels."""
        best, least = DENSE, WORTH * self.dense
        for name, curve in self.curves.items():
            seconds = curve.at(WAYS[name].count(mask, outputs))
            if seconds < least:
                best, least = name, seconds
        return best

    def break_even(self, way: str) -> int:
        """Return the largest count up to which a way is as fast as dense; -1 if there is none."""
        curve = self.curves.get(way, Curve((0,), (math.inf,)))
        slower = [number for number, seconds in enumerate(curve.seconds) if seconds > self.dense]
        if not slower:
            return curve.counts[-1]
        if not slower[0]:
            return -1
        (low, high), (fast, slow) = (each[slower[0] - 1 : slower[0] + 1] for each in (curve.counts, curve.seconds))
        return int(low + (high - low) * (self.dense - fast) / (slow - fast))


def choose(
    part: Conditional, inputs: Tensor, mask: Tensor, *, runs: int = 5, clock: Clock = time.perf_counter
) -> Choice:
    """Return what was measured with inputs and masks of these shapes, on random values; this takes a second or so.

    All ways run in turns on masks that are open in squares, which is what tiles like best: what never saves a twentieth
    there, beside the ways before it, is left out, and so is what takes long to count. On a machine that does other
    things too, `clock=time.thread_time` measures one thread alone.
    """
    kind, size = kind_of(mask, part.outputs), part.size(inputs.shape[2], inputs.shape[3])
    ways = {name: way for name, way in WAYS.items() if kind in way.kinds}
    points: dict[str, dict[int, float]] = {name: {} for name in ways}
    fastest, dear, dense = set[str](), {DENSE}, list[float]()
    with torch.inference_mode():
        images = torch.randn(inputs.shape, dtype=inputs.dtype).to(memory_format=torch.channels_last)
        base = torch.zeros(len(inputs), part.outputs, *size, dtype=inputs.dtype).to(memory_format=torch.channels_last)
        for share in SHARES:
            drawn = draw(mask, part.outputs, share)
            found, asking = _seconds(ways, (part, images, drawn, base), runs, clock)
            dense.append(found[DENSE])
            dear |= {name for name in ways if asking[name] > ASKING * found[DENSE]}
            for name, seconds in found.items():
                points[name][ways[name].count(drawn, part.outputs)] = seconds
            if share:
                fastest.add(_worth({name: seconds for name, seconds in found.items() if name not in dear - {DENSE}}))
            ways = {name: way for name, way in ways.items() if found[name] <= HOPELESS * found[DENSE]}
    curves = {name: Curve(tuple(points[name]), tuple(points[name].values())) for name in points}
    return Choice(statistics.median(dense), {name: curves[name] for name in curves if name in fastest - dear})


def choice_for(
    choices: MutableMapping[str, Choice],
    part: Conditional,
    inputs: Tensor,
    mask: Tensor,
    *,
    runs: int = 5,
    clock: Clock = time.perf_counter,
) -> Choice:
    """Return the choice for a layer and shapes; change `choices` to hold it if it had to be measured."""
    name = name_of(part, inputs, mask)
    if name not in choices:
        choices[name] = choose(part, inputs, mask, runs=runs, clock=clock)
    return choices[name]


def known_choice(choices: Mapping[str, Choice], part: Conditional, inputs: Tensor, mask: Tensor) -> Choice | None:
    """Return the choice for a layer and shapes, None if it was not measured."""
    return choices.get(name_of(part, inputs, mask))


def name_of(part: Conditional, inputs: Tensor, mask: Tensor) -> str:
    """Return all that a choice depends on but the machine, as text."""
    high, wide = part.kernel
    return (
        f"{high}x{wide} {part.channels.stop - part.first}->{part.outputs} stride {part.stride} padding {part.padding} "
        f"dilation {part.dilation} groups {part.groups} of {list(inputs.shape)} {inputs.dtype}, "
        f"mask {list(mask.shape)}, threads {torch.get_num_threads()}"
    )


def as_data(choices: Mapping[str, Choice]) -> dict[str, Any]:
    """Return choices as numbers and lists, such as JSON has."""
    return {name: asdict(choice) for name, choice in choices.items()}


def choices_of(data: Mapping[str, Any]) -> dict[str, Choice]:
    """Return the choices that `as_data` gave, before or after JSON."""
    return {
        name: Choice(
            each["dense"],
            {way: Curve(tuple(curve["counts"]), tuple(curve["seconds"])) for way, curve in each["curves"].items()},
        )
        for name, each in data.items()
    }


def draw(like: Tensor, outputs: int, share: float) -> Tensor:
    """Return a mask of the shape of another, of which a share is open at random, in squares, alike for all blocks."""
    if kind_of(like, outputs) == "channels":
        return _opened(tuple(like.shape), share)
    high, wide = like.shape[-2:]
    side = next(side for least, side in SQUARES.items() if min(high, wide) >= least)
    squares = _opened((len(like), -(-high // side), -(-wide // side)), share)
    pixels = squares.repeat_interleave(side, 1).repeat_interleave(side, 2)[:, :high, :wide].contiguous()
    return pixels if like.dim() == 3 else pixels[:, None].repeat(1, like.shape[1], 1, 1)


def _seconds(
    ways: Mapping[str, Way], given: tuple[Conditional, Tensor, Tensor, Tensor], runs: int, clock: Clock
) -> tuple[dict[str, float], dict[str, float]]:
    """Return the median seconds of each way, and those of counting for it."""
    part, images, mask, base = given
    calls: dict[tuple[str, str], Call] = {}
    for name, way in ways.items():
        calls[name, "count"] = partial(way.count, mask, part.outputs)  # cold, behind another way, as at run time
        calls[name, "add"] = partial(way.add, part, images, mask, base)
    found = median_seconds(calls, runs=runs, clock=clock, warm_up=1)
    return {name: found[name, "add"] for name in ways}, {name: found[name, "count"] for name in ways}


def _worth(found: Mapping[str, float]) -> str:
    """Return the fastest way; of two that are about as fast, the first."""
    best = DENSE
    for name, seconds in found.items():
        best = name if seconds < WORTH * found[best] else best
    return best


def _opened(shape: tuple[int, ...], share: float) -> Tensor:
    """Return a mask of which exactly a share, to rounding, is open."""
    count = math.prod(shape)
    flat = torch.zeros(count, dtype=torch.bool)
    flat[torch.randperm(count)[: round(share * count)]] = True
    return flat.view(shape)
