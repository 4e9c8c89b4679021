"""Convolutions, matrix products, attention: an axis that is summed over leaves with what produced it.

Of two activations the sum may lose a unit only if one of them is zero there; a weight always is, once it is masked.
"""

import numpy as np
from torch import Tensor

from elastic.plan import IntArray
from elastic.tracing.following.call import Call
from elastic.tracing.following.followed import Followed
from elastic.tracing.following.rules.registry import rule, shape


@rule("convolution", "_convolution", "mkldnn_convolution", "convolution_overrideable", "cudnn_convolution")
def convolution(call: Call) -> Followed:
    """[N, I, ..] with a weight [O, I/g, ..], transposed [I, O/g, ..]; a group leaves as a whole."""
    groups = int(call["groups"] or 1)
    ins, outs = (0, 1) if call["transposed"] else (1, 0)
    x = call.of(call["input"])
    if groups == 1 and 1 in x.axes:
        call.book.adopt(call["weight"], ins, x.axes[1])
    weight, bias = call.of(call["weight"]), call.of(call["bias"])
    for dim in set(weight.axes) - {ins, outs}:
        call.freeze(weight.axes[dim])
    for dim in set(x.axes) - {0, 1}:
        call.freeze(x.axes[dim], "a convolution runs over it")
    if groups == 1 and not _is_last_group(call, x, weight):
        call.meet(x.axes.get(1), weight.axes.get(ins))
        made = weight.axes.get(outs)
    else:
        made = _grouped(call, x.axes.get(1), weight, groups)
    if 0 in bias.axes:
        made = call.meet(made, bias.axes[0])
    axes = {0: x.axes[0]} if 0 in x.axes else {}
    is_zero = (weight.vanishes or not weight.axes) and (bias.vanishes or call["bias"] is None)
    return Followed(axes if made is None else {**axes, 1: made}, is_zero)


def _is_last_group(call: Call, x: Followed, weight: Followed) -> bool:
    """Return whether a cut left one group of a grouped convolution, whose weight's inputs are within a group still."""
    if call["transposed"] or 1 not in x.axes or 1 not in weight.axes:
        return False
    return call.book.is_known_as_fixed(weight.axes[1]) and call.book.has_known_units(x.axes[1])


def _grouped(call: Call, x: IntArray | None, weight: Followed, groups: int) -> IntArray | None:
    """Couple each group's inputs and outputs; within a group nothing leaves alone."""
    if 1 in weight.axes:
        call.freeze(weight.axes[1])
    first = weight.axes.get(0)
    if call["transposed"]:
        x = call.meet(x, first)
        made = call.new(shape(call.out)[1]) if x is not None else None
    else:
        made = call.meet(first, x) if x is None or first is None else first
    if x is None or made is None:
        return made
    call.couple_rows(np.concatenate([x.reshape(groups, -1), made.reshape(groups, -1)], 1))
    return made


@rule("mm", "bmm", "addmm", "baddbmm", "matmul", "mv", "addmv", "dot", "vdot")
def matrix_product(call: Call) -> Followed:
    """[.., N, K] @ [.., K, M]."""
    tensors = call.args[-2:] if call.name in ("mm", "bmm", "matmul", "mv", "dot", "vdot") else call.args[1:3]
    (a, b), (rank, other) = (call.of(t) for t in tensors), (t.dim() for t in tensors)
    contract(call, a, rank - 1, b, max(0, other - 2))
    axes: dict[int, IntArray] = {}
    for dim in range(call.out.dim() - 2):
        if (cells := call.meet(a.axes.get(dim), b.axes.get(dim))) is not None:
            axes[dim] = cells
    last = call.out.dim() - 1
    if rank >= 2 and rank - 2 in a.axes:
        axes[last - 1 if other >= 2 else last] = a.axes[rank - 2]
    if other >= 2 and other - 1 in b.axes:
        axes[last] = b.axes[other - 1]
    is_zero = _zero(a, rank - 2 in a.axes) and _zero(b, other >= 2 and other - 1 in b.axes)
    out = Followed(axes, is_zero)
    return _plus(call, call.args[0], out) if call.name in ("addmm", "baddbmm", "addmv") else out


@rule("linear")
def linear(call: Call) -> Followed:
    """[.., K] with a weight [M, K]."""
    x, weight, rank = call.of(call.args[0]), call.of(call.args[1]), call.args[0].dim()
    contract(call, x, rank - 1, weight, 1)
    axes = {d: c for d, c in x.axes.items() if d != rank - 1}
    if 0 in weight.axes:
        axes[rank - 1] = weight.axes[0]
    out = Followed(axes, _zero(weight, 0 in weight.axes) and (x.vanishes or len(axes) == 1))
    return out if call["bias"] is None else _plus(call, call["bias"], out)


@rule(
    "scaled_dot_product_attention", "_scaled_dot_product_attention_math", "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_flash_attention", "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_fused_attention_overrideable", "_scaled_dot_product_cudnn_attention",
)  # fmt: skip
def attention(call: Call) -> list[Followed]:
    """[N, heads, L, D]: heads leave, and the values' D; the scale must not follow the width of the queries."""
    query, key, value = (call.of(t) for t in call.args[:3])
    rank = call.args[0].dim()
    for each in (query, key):
        if rank - 1 in each.axes and call["scale"] is None:
            call.freeze(each.axes[rank - 1], "attention's scale follows it")
    contract(call, query, rank - 1, key, rank - 1)
    for each in (key, value):
        if rank - 2 in each.axes:
            call.freeze(each.axes[rank - 2], "softmax is taken over it")
    axes = {d: c for d, c in query.axes.items() if d < rank - 1}
    for dim in range(rank - 2):
        for each in (key, value):
            if (cells := call.meet(axes.pop(dim, None), each.axes.get(dim))) is not None:
                axes[dim] = cells
    if rank - 1 in value.axes:
        axes[rank - 1] = value.axes[rank - 1]
    mask = call["attn_mask"] if call["attn_mask"] is not None else call["attn_bias"]
    if mask is not None:
        shift = rank - mask.dim()
        for dim, cells in call.of(mask).axes.items():
            call.meet(axes.get(dim + shift) if dim + shift < rank - 2 else None, cells)
    return [Followed(axes, value.vanishes)]


def contract(call: Call, a: Followed, dim: int, b: Followed, other: int) -> None:
    """Sum over an axis of each of two tensors."""
    cells = call.meet(a.axes.get(dim), b.axes.get(other))
    if cells is not None and not (a.vanishes or b.vanishes):
        call.freeze(cells, f"`{call.name}` sums over it, and it isn't zero where its weights are")


def _zero(followed: Followed, has_units: bool) -> bool:
    return followed.vanishes or not has_units


def _plus(call: Call, bias: Tensor, out: Followed) -> Followed:
    followed = call.of(bias)
    axes = dict(out.axes)
    offset = call.out.dim() - bias.dim()
    for dim, size in enumerate(shape(bias)):
        cells = followed.axes.get(dim)
        if size == shape(call.out)[dim + offset]:
            if (met := call.meet(axes.pop(dim + offset, None), cells)) is not None:
                axes[dim + offset] = met
        elif cells is not None:
            call.freeze(cells, f"its one channel meets many in `{call.name}`")
    is_zero = out.vanishes and followed.vanishes and {d - offset for d in out.axes} <= set(followed.axes)
    return Followed(axes, is_zero)
