"""Slices and splits: parts of an axis.

Parts of one size are taken for halves (thirds, ...) of whatever there is, so that they lose the same positions; or for
ranges with ends of their own. Which of them the network's own code does, and whether the sizes are attributes that can
be put right, is found by trying.
"""

import numpy as np

from elastic.plan import IntArray
from elastic.tracing.following.call import Call
from elastic.tracing.following.followed import Followed
from elastic.tracing.following.rules.registry import rule, shape

ALIKE, APART = "alike", "apart"


@rule("slice", "narrow", "slice_copy")
def slice_axis(call: Call) -> Followed:
    """Take a range of positions."""
    followed = call.of(call.args[0])
    rank = call.args[0].dim()
    dim = int(call["dim"] or 0) % rank
    size = shape(call.args[0])[dim]
    if dim not in followed.axes or shape(call.out)[dim] == size:
        return followed
    start = int(call["start"] or 0)
    start = min(start + size if start < 0 else start, size)
    step = int(call["step"] or 1) if call.name == "slice" else 1
    length = shape(call.out)[dim]
    is_part = step == 1 and length and size % length == 0 and start % length == 0
    if step > 1:
        found = _every(call, followed.axes[dim], step)
    else:
        found = parts(call, followed.axes[dim], [length] if is_part else [])
    axes = {d: c for d, c in followed.axes.items() if d != dim}
    if found is not None:
        axes[dim] = found[start : start + length * step : step]
    return followed.with_axes(axes)


@rule("split", "split_with_sizes", "unsafe_split", "unsafe_split_with_sizes", "split_copy", "split_with_sizes_copy")
def split(call: Call) -> list[Followed]:
    """Take an axis apart."""
    followed = call.of(call.args[0])
    dim = int(call["dim"] or 0) % call.args[0].dim()
    sizes = [shape(part)[dim] for part in call.out]
    if dim not in followed.axes or len(sizes) == 1:
        return [followed] * len(sizes)
    found = parts(call, followed.axes[dim], sizes)
    others = {d: c for d, c in followed.axes.items() if d != dim}
    ends = np.cumsum([0, *sizes])
    return [
        followed.with_axes(others if found is None else {**others, dim: found[start : start + size]})
        for start, size in zip(ends, sizes, strict=False)
    ]


def parts(call: Call, cells: IntArray, sizes: list[int]) -> IntArray | None:
    """Return the cells of an axis that is taken apart, None if it can't be: parts of one size are alike, or apart."""
    is_even = len(set(sizes)) == 1 and sizes[0] > 0 and len(cells) % sizes[0] == 0
    if call.book.partition.is_held(cells) and not call.book.has_decided():
        return None
    taken = call.choose([ALIKE, APART] if is_even else [APART], cells)
    if taken is None:
        call.freeze(cells, f"parts of constant size are taken of it in `{call.name}`")
        return None
    if taken == ALIKE and is_even:
        call.couple_rows(cells.reshape(-1, sizes[0]).T)
    return cells


def _every(call: Call, cells: IntArray, step: int) -> IntArray | None:
    """Return the cells of an axis of which every `step`-th is taken: as many in a row leave together."""
    if len(cells) % step:
        call.freeze(cells, f"parts of constant size are taken of it in `{call.name}`")
        return None
    call.couple_rows(cells.reshape(-1, step))
    return cells


@rule("select", "select_copy")
def select(call: Call) -> Followed:
    """Take one position; of an axis that can lose some, its number would be another one."""
    followed = call.of(call.args[0])
    dim = int(call.args[1]) % call.args[0].dim()
    return _dropped(call.without(followed, {dim}, "one position of it is picked by its number in `select`"), dim)


@rule("unbind", "unbind_copy")
def unbind(call: Call) -> Followed:
    """Take all positions of an axis, each for itself."""
    followed = call.of(call.args[0])
    dim = int(call["dim"] or 0) % call.args[0].dim()
    return _dropped(call.without(followed, {dim}, "its positions go different ways in `unbind`"), dim)


@rule("roll")
def roll(call: Call) -> Followed:
    """Pass axes that stay in place; a constant shift of channels can't be followed."""
    followed = call.of(call.args[0])
    dims = {int(dim) % call.out.dim() for dim in call["dims"] or []} or set(range(call.out.dim()))
    return call.without(followed, dims, "it is shifted by a constant in `roll`")


@rule("index_select")
def index_select(call: Call) -> Followed:
    """Pick positions by numbers that a cut would not follow."""
    followed = call.of(call.args[0])
    dim = int(call.args[1]) % call.args[0].dim()
    return call.without(followed, {dim}, "its positions are picked by their numbers in `index_select`")


@rule("index")
def index(call: Call) -> Followed:
    """Pick positions of some axes; the others move aside."""
    table, indices = call.args
    followed = call.of(table)
    picked = [dim for dim, numbers in enumerate(indices) if numbers is not None]
    for dim in picked:
        if dim in followed.axes:
            call.freeze(
                followed.axes[dim], "" if followed.weight else "its positions are picked by their numbers in `index`"
            )
    is_run = picked == list(range(picked[0], picked[-1] + 1))
    width = call.out.dim() - (table.dim() - len(picked))
    rest = [dim for dim in range(table.dim()) if dim not in picked]
    at = picked[0] if is_run else 0
    places = {dim: place + (width if place >= at else 0) for place, dim in enumerate(rest)}
    return followed.with_axes({places[d]: c for d, c in followed.axes.items() if d in places})


@rule("unfold", "unfold_copy")
def unfold(call: Call) -> Followed:
    """Take windows along an axis, which get an axis of their own."""
    followed = call.of(call.args[0])
    dim = int(call.args[1]) % call.args[0].dim()
    return call.without(followed, {dim}, "windows of constant size are taken of it in `unfold`")


@rule("_embedding_bag", "_embedding_bag_forward_only")
def embedding_bag(call: Call) -> list[Followed]:
    """[V, D] picked and summed by [...] -> [N, D]; the vocabulary stays."""
    followed = call.of(call.args[0])
    if 0 in followed.axes:
        call.freeze(followed.axes[0])
    return [Followed({1: followed.axes[1]} if 1 in followed.axes else {}, followed.vanishes)]


@rule("embedding")
def embedding(call: Call) -> Followed:
    """[V, D] picked by [...] -> [..., D]; the vocabulary stays."""
    followed = call.of(call.args[0])
    if 0 in followed.axes:
        call.freeze(followed.axes[0])
    return Followed({call.out.dim() - 1: followed.axes[1]} if 1 in followed.axes else {}, followed.vanishes)


def _dropped(followed: Followed, dim: int) -> Followed:
    """Return what follows a tensor that lost an axis."""
    return followed.with_axes({d - (d > dim): cells for d, cells in followed.axes.items()})
