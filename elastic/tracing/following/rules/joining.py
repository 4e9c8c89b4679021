"""Concatenation, stacking, repetition and padding: an axis out of several, or out of one and nothing."""

import numpy as np

from elastic.plan import IntArray
from elastic.tracing.following.call import Call
from elastic.tracing.following.followed import Followed
from elastic.tracing.following.rules.registry import rule, shape


@rule("cat", "concat")
def cat(call: Call) -> Followed:
    """Lay axes end to end; what has no cells never leaves."""
    parts = [part for part in call.args[0] if part.numel() or part.dim() > 1]
    dim = int(call["dim"] or 0) % call.out.dim()
    followed = [call.of(part) for part in parts]
    axes = _alike(call, followed, [d for d in range(call.out.dim()) if d != dim])
    if any(dim in each.axes for each in followed):
        ends = [each.axes.get(dim, None) for each in followed]
        axes[dim] = np.concatenate(
            [_fixed(call, shape(p)[dim]) if e is None else e for p, e in zip(parts, ends, strict=True)]
        )
    return Followed(axes, all(each.vanishes for each in followed if each.axes))


@rule("stack")
def stack(call: Call) -> Followed:
    """Lay tensors beside each other: what is at the same place leaves together."""
    dim = int(call["dim"] or 0) % call.out.dim()
    followed = [call.of(part) for part in call.args[0]]
    axes = _alike(call, followed, list(range(call.out.dim() - 1)))
    return Followed({d + (d >= dim): c for d, c in axes.items()}, all(each.vanishes for each in followed if each.axes))


@rule("repeat")
def repeat(call: Call) -> Followed:
    """Lay a tensor end to end with itself."""
    followed, times = call.of(call.args[0]), list(call.args[1])
    offset = len(times) - call.args[0].dim()
    axes = {}
    for dim, size in enumerate(shape(call.out)):
        if dim - offset in followed.axes:
            axes[dim] = np.tile(followed.axes[dim - offset], times[dim])
        elif times[dim] > 1 and size == times[dim]:
            axes[dim] = call.new(size)  # grows out of one
    return followed.with_axes(axes)


@rule("constant_pad_nd")
def constant_pad_nd(call: Call) -> Followed:
    """Pad, or crop: what is padded on an axis of units never leaves."""
    followed, pad = call.of(call.args[0]), list(call.args[1])
    axes = dict(followed.axes)
    rank = call.out.dim()
    for number in range(len(pad) // 2):
        dim, (before, after) = rank - 1 - number, pad[2 * number : 2 * number + 2]
        if dim in axes and (before or after):
            if min(before, after) < 0:
                call.freeze(axes[dim], "it is cropped by a constant in `constant_pad_nd`")
                del axes[dim]
            else:
                axes[dim] = np.concatenate([_fixed(call, before), axes[dim], _fixed(call, after)])
    value = call["value"] or 0
    return Followed(axes, followed.vanishes and value == 0)


def _fixed(call: Call, count: int) -> IntArray:
    cells = call.new(count)
    call.freeze(cells, "it meets what never leaves")
    return cells


def _alike(call: Call, followed: list[Followed], dims: list[int]) -> dict[int, IntArray]:
    """Unite the given axes of several tensors, which are of the same sizes."""
    axes: dict[int, IntArray] = {}
    for dim in dims:
        found = [each.axes.get(dim) for each in followed]
        if any(cells is not None for cells in found):
            met = [call.meet(found[0], cells) for cells in found]
            if all(cells is not None for cells in met) and found[0] is not None:
                axes[dim] = found[0]
    return axes
