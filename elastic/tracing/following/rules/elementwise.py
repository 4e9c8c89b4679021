"""Element-wise operations: positions that meet leave together.

An axis of one meets any number; an axis of the same size that has no cells fixes what it meets.
"""

import torch
from torch import Tensor

from elastic.plan import IntArray
from elastic.tracing.following.call import Call, tensors_in
from elastic.tracing.following.followed import Followed
from elastic.tracing.following.rules.registry import rule, shape

# Operations that torch doesn't tag as element-wise, or whose in-place form it doesn't.
ALSO = frozenset({
    "hardtanh", "hardswish", "hardsigmoid", "relu6", "rsub", "where", "masked_fill", "prelu", "_prelu_kernel",
    "rrelu_with_noise", "bernoulli", "copy", "fused_dropout", "native_dropout", "dropout", "type_as", "leaky_relu",
    "elu", "celu", "selu", "mish", "softplus", "log_sigmoid_forward", "clone", "lerp", "addcmul", "addcdiv",
    "floor_divide", "true_divide",
})  # fmt: skip

# f(0) = 0, whatever the other arguments are.
KEEPS_ZERO = frozenset({
    "relu", "relu6", "gelu", "silu", "mish", "hardswish", "hardtanh", "leaky_relu", "elu", "selu", "celu", "tanh",
    "neg", "abs", "sqrt", "sin", "sinh", "asin", "atan", "erf", "round", "floor", "ceil", "trunc", "sign", "square",
    "expm1", "log1p", "_prelu_kernel", "prelu", "native_dropout", "dropout", "clone", "copy",
})  # fmt: skip


def is_elementwise(func: object, name: str) -> bool:
    """Return whether an operation computes each element of its output from the elements at its place."""
    return torch.Tag.pointwise in func.tags or name in ALSO  # type: ignore[attr-defined]


def elementwise(call: Call) -> Followed:
    """Unite what meets."""
    out = tensors_in([call.out])[0]
    axes = _meet(call, call.tensors(), out)
    if call.name == "copy":
        return Followed(axes, call.of(call.args[1]).vanishes)
    if call.name == "where":
        return Followed(axes)
    return Followed(axes, _vanishes(call, axes, out.dim()), weight=_weight(call))


def _weight(call: Call) -> str:
    # A function of weights alone is still the weight: of scaled or standardised ones.
    followed = [call.of(tensor) for tensor in call.tensors()]
    return followed[0].weight if followed and all(each.weight for each in followed) else ""


def _meet(call: Call, operands: list[Tensor], out: Tensor) -> dict[int, IntArray]:
    axes: dict[int, IntArray] = {}
    rank, sizes = out.dim(), shape(out)
    followed = [(call.of(operand), shape(operand)) for operand in operands]
    for dim in range(rank):
        met = [
            (each.axes.get(dim - rank + len(size)), size[dim - rank + len(size)])
            for each, size in followed
            if dim - rank + len(size) >= 0
        ]
        known = [cells for cells, size in met if cells is not None and size == sizes[dim]]
        is_fixed = any(cells is None and size == sizes[dim] > 1 for cells, size in met)
        for cells, size in met:
            if cells is not None and size != sizes[dim]:
                call.freeze(cells, f"its one channel meets many in `{call.name}`")
            elif cells is not None:
                call.meet(cells, None if is_fixed else known[0])
        if known and not is_fixed:
            axes[dim] = known[0]
    return axes


def _vanishes(call: Call, axes: dict[int, IntArray], rank: int) -> bool:
    """Return whether the output is zero where a unit's parameters are."""
    operands = [(call.of(t), t.dim()) for t in call.tensors()]

    def zero_along(dim: int) -> list[bool]:
        return [each.vanishes and dim - rank + size in each.axes for each, size in operands]

    match call.name:
        case "mul":
            return all(any(zero_along(dim)) for dim in axes)
        case "div" | "true_divide" | "floor_divide":
            return all(zero_along(dim)[0] for dim in axes)
        case "add" | "sub":
            has_number = len(operands) == 1 and call.args[1] != 0
            return not has_number and all(all(zero_along(dim)) for dim in axes)
        case "pow":
            return operands[0][0].vanishes and isinstance(call.args[1], int | float) and call.args[1] > 0
        case "clamp" | "clamp_min" | "clamp_max":
            low, high = call["min"], call["max"]
            return operands[0][0].vanishes and (low is None or low <= 0) and (high is None or high >= 0)
        case "_to_copy" | "to":
            return operands[0][0].vanishes
    return call.name in KEEPS_ZERO and operands[0][0].vanishes


@rule("glu")
def glu(call: Call) -> Followed:
    """The first half of an axis times the sigmoid of the second."""
    followed = call.of(call.args[0])
    dim = int(call["dim"]) % call.out.dim()
    if dim not in followed.axes:
        return followed
    halves = followed.axes[dim].reshape(2, -1)
    call.unite(halves[0], halves[1])
    return followed.with_axes({**followed.axes, dim: halves[0]})
