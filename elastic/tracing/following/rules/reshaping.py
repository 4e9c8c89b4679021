"""Reshapes and permutations: axes move, merge and split.

Where an axis of many units splits into several, a box can lose slices along one of them only: the same channel of
every group, or whole groups. Which of them the network's own code can take is found by trying.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from elastic.plan import IntArray
from elastic.tracing.following.call import Call
from elastic.tracing.following.followed import Followed
from elastic.tracing.following.rules.registry import rule, same, shape

same("clone", "detach", "alias", "lift_fresh", "contiguous", "_to_copy", "to", "positive", "resolve_conj", "dropout")
same("view_as_real_copy", "squeeze_copy", "_conj", "_neg_view", "lift")


@rule("view", "_unsafe_view", "reshape", "_reshape_alias", "view_copy", "reshape_as", "_reshape_copy")
def reshape(call: Call) -> Followed:
    """Follow each block of axes that the reshape keeps apart."""
    followed = call.of(call.args[0])
    before, after = shape(call.args[0]), shape(call.out)
    axes: dict[int, IntArray] = {}
    for ins, outs in _blocks(before, after) if followed.axes else ():
        ones = dict(zip(_ones(before, ins), _ones(after, outs), strict=False))
        axes.update({ones[dim]: followed.axes[dim] for dim in set(ones) & set(followed.axes)})
        labelled = [dim for dim in ins if dim in followed.axes and dim not in ones]
        for extra in labelled[1:]:
            call.freeze(followed.axes[extra], f"two axes of channels become one in `{call.name}`")
        if labelled:
            whole = _along_merged(followed.axes[labelled[0]], [before[d] for d in ins], ins.index(labelled[0]))
            rest = [dim for dim in outs if dim not in axes]
            axes.update(split_axis(call, whole, [after[d] for d in rest], rest))
    return followed.with_axes(axes)


def split_axis(call: Call, cells: IntArray, sizes: list[int], dims: list[int]) -> dict[int, IntArray]:
    """Return the cells along the axes that an axis is split into: one of them, by choice where several might be."""
    wide = [place for place, size in enumerate(sizes) if size > 1]
    if len(wide) <= 1 and not call.book.has_decided():
        return {dims[wide[0] if wide else 0]: cells} if dims else {}
    box = cells.reshape(sizes)
    roots = call.book.partition.find(cells).reshape(sizes)
    for place in wide:
        along = _first_along(roots, place)
        if np.array_equal(np.broadcast_to(along, roots.shape), roots):
            return {dims[place]: _first_along(box, place).reshape(-1)}
    if call.book.partition.is_held(cells) and not call.book.has_decided():
        return {}
    taken = call.choose([str(place - len(sizes)) for place in reversed(wide)], cells)
    if taken is None or -int(taken) > len(sizes):
        call.freeze(cells, f"its axis is taken apart by a constant in `{call.name}`")
        return {}
    rows = np.moveaxis(box, int(taken), 0).reshape(sizes[int(taken)], -1)
    call.unite(np.repeat(rows[:, 0], rows.shape[1] - 1), rows[:, 1:].reshape(-1))
    return {dims[int(taken)]: rows[:, 0].copy()}


@rule("permute", "permute_copy")
def permute(call: Call) -> Followed:
    """Move axes."""
    followed = call.of(call.args[0])
    order = [dim % call.out.dim() for dim in call.args[1]]
    return followed.with_axes({new: followed.axes[old] for new, old in enumerate(order) if old in followed.axes})


@rule("transpose", "t", "transpose_copy", "t_copy", "numpy_T", "adjoint")
def transpose(call: Call) -> Followed:
    """Swap two axes."""
    rank = call.out.dim()
    a, b = (call.args[1] % rank, call.args[2] % rank) if len(call.args) > 2 else (0, rank - 1)
    return call.of(call.args[0]).with_axes(
        {{a: b, b: a}.get(dim, dim): cells for dim, cells in call.of(call.args[0]).axes.items()}
    )


@rule("unsqueeze", "unsqueeze_copy")
def unsqueeze(call: Call) -> Followed:
    """Make room for an axis of one."""
    at = call.args[1] % call.out.dim()
    followed = call.of(call.args[0])
    return followed.with_axes({dim + (dim >= at): cells for dim, cells in followed.axes.items()})


@rule("squeeze")
def squeeze(call: Call) -> Followed:
    """Drop axes of one; an axis with cells has more."""
    before = shape(call.args[0])
    given = call.args[1] if len(call.args) > 1 else list(range(len(before)))
    gone = {d % max(1, len(before)) for d in ([given] if isinstance(given, int) else given)}
    left = [dim for dim in range(len(before)) if not (dim in gone and before[dim] == 1)]
    followed = call.of(call.args[0])
    for dim in set(followed.axes) - set(left):
        call.freeze(followed.axes[dim], "its one channel becomes none in `squeeze`")
    return followed.with_axes({new: followed.axes[old] for new, old in enumerate(left) if old in followed.axes})


@rule("expand", "expand_copy")
def expand(call: Call) -> Followed:
    """Let an axis that grows out of one take on whatever it meets."""
    followed = call.of(call.args[0])
    before, after = shape(call.args[0]), shape(call.out)
    offset = len(after) - len(before)
    axes = {dim + offset: cells for dim, cells in followed.axes.items()}
    for dim, size in enumerate(after):
        if size > 1 and (dim < offset or before[dim - offset] == 1):
            if dim in axes:
                call.freeze(axes[dim], "its one channel becomes many in `expand`")
            axes[dim] = call.new(size)
    return followed.with_axes(axes)


@rule("as_strided", "as_strided_")
def as_strided(call: Call) -> Followed:
    """Pass what keeps its shape; any other pattern of strides can't be followed."""
    followed = call.of(call.args[0])
    if shape(call.args[0]) == shape(call.out):
        return followed
    call.freeze_all(followed, "`as_strided` can't be followed")
    return followed.with_axes({})


@rule("flip")
def flip(call: Call) -> Followed:
    """Turn the order of cells around."""
    followed = call.of(call.args[0])
    turned = {dim % call.out.dim() for dim in call["dims"]}
    return followed.with_axes({d: c[::-1] if d in turned else c for d, c in followed.axes.items()})


@rule("pixel_shuffle")
def pixel_shuffle(call: Call) -> Followed:
    """[.., C*r*r, H, W] -> [.., C, H*r, W*r]: the r*r channels of a pixel leave together."""
    followed, dim = call.of(call.args[0]), call.out.dim() - 3
    square = int(call.args[1]) ** 2
    if cells := _channels(followed, dim):
        call.couple_rows(cells[0].reshape(-1, square))
        return followed.with_axes({**followed.axes, dim: cells[0][::square]})
    return followed


@rule("pixel_unshuffle")
def pixel_unshuffle(call: Call) -> Followed:
    """[.., C, H*r, W*r] -> [.., C*r*r, H, W]."""
    followed, dim = call.of(call.args[0]), call.out.dim() - 3
    if cells := _channels(followed, dim):
        return followed.with_axes({**followed.axes, dim: cells[0].repeat(int(call.args[1]) ** 2)})
    return followed


@rule("channel_shuffle", "native_channel_shuffle")
def channel_shuffle(call: Call) -> Followed:
    """[N, g*n, ..] -> [N, n*g, ..]: the same channel of every group leaves."""
    followed = call.of(call.args[0])
    if cells := _channels(followed, 1):
        columns = cells[0].reshape(int(call.args[1]), -1).T
        call.couple_rows(columns)
        return followed.with_axes({**followed.axes, 1: columns.reshape(-1)})
    return followed


@rule("im2col")
def im2col(call: Call) -> Followed:
    """[N, C, H, W] -> [N, C*k*k, L]."""
    followed = call.of(call.args[0])
    pixels = math.prod(call.args[1])
    return followed.with_axes({d: c.repeat(pixels) if d == 1 else c for d, c in followed.axes.items() if d < 2})


@rule("col2im")
def col2im(call: Call) -> Followed:
    """[N, C*k*k, L] -> [N, C, H, W]: the pixels of a patch leave together."""
    followed = call.of(call.args[0])
    pixels = math.prod(call["kernel_size"])
    if cells := _channels(followed, 1):
        call.couple_rows(cells[0].reshape(-1, pixels))
        return followed.with_axes({**{d: c for d, c in followed.axes.items() if d == 0}, 1: cells[0][::pixels]})
    return followed.with_axes({d: c for d, c in followed.axes.items() if d == 0})


def _ones(shape: tuple[int, ...], dims: list[int]) -> list[int]:
    """Return the axes of one, from the last: where a cut left one channel, it stays an axis of its own."""
    return [dim for dim in reversed(dims) if shape[dim] == 1]


def _channels(followed: Followed, dim: int) -> list[IntArray]:
    return [followed.axes[dim]] if dim in followed.axes else []


def _first_along(box: Any, place: int) -> Any:
    return box[tuple(slice(None) if axis == place else slice(0, 1) for axis in range(box.ndim))]


def _along_merged(cells: IntArray, sizes: list[int], place: int) -> IntArray:
    """Return the cells of an axis that several become, given those of one of them."""
    if math.prod(sizes) == sizes[place]:
        return cells
    view = cells.reshape([-1 if axis == place else 1 for axis in range(len(sizes))])
    return np.broadcast_to(view, sizes).reshape(-1)


def _blocks(before: tuple[int, ...], after: tuple[int, ...]) -> Iterator[tuple[list[int], list[int]]]:
    """Yield the axes before and after that hold the same elements, in the smallest blocks; axes of one join any."""
    a = b = 0
    while a < len(before) or b < len(after):
        ins: list[int] = []
        outs: list[int] = []
        left, right = 1, 1
        while True:
            if left <= right and a < len(before) and (left < right or not ins or before[a] == 1):
                left *= before[a]
                ins.append(a)
                a += 1
            elif b < len(after) and (right < left or not outs or after[b] == 1):
                right *= after[b]
                outs.append(b)
                b += 1
            else:
                break
        yield ins, outs
