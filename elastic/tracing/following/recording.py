"""What a run is worth recording for: the layers that it goes through, and the operations that cost MACs.

MACs are torch's own counts (`torch.utils.flop_counter`, halved), so that closed forms over them agree with it.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor
from torch.utils.flop_counter import flop_registry

from elastic.plan import IntArray, Layer
from elastic.tracing.following.call import Call, tensors_in
from elastic.tracing.following.followed import Followed
from elastic.tracing.following.rules.registry import shape
from elastic.tracing.labels import Counted

ACTIVATIONS = (
    "relu", "gelu", "silu", "sigmoid", "tanh", "hardswish", "hardsigmoid", "hardtanh", "leaky_relu", "elu", "selu",
    "celu", "mish", "softplus", "prelu", "_prelu_kernel", "relu6", "glu",
)  # fmt: skip

KINDS = {
    **dict.fromkeys(("convolution", "_convolution"), "convolution"),
    **dict.fromkeys(("mm", "addmm", "linear"), "linear"),
    "embedding": "embedding",
    **dict.fromkeys(("_softmax", "_safe_softmax", "scaled_dot_product_attention"), "attention"),
    **dict.fromkeys(ACTIVATIONS, "activation"),
    **dict.fromkeys(("add", "sub"), "add"),
    "mul": "multiply",
    "cat": "cat",
}


def kind_of(call: Call) -> str | None:
    """Return what kind of layer an operation is, None where channels just pass."""
    if "norm" in call.name and call["input"] is not None:
        return "norm"
    return KINDS.get(call.name)


def layer_of(call: Call, module: str, inputs: Sequence[int], followed: Followed) -> Layer | None:
    """Return an operation as a layer, None where it is none; its units are cells still."""
    kind = kind_of(call)
    is_join = kind in ("add", "multiply", "cat")
    if kind is None or (is_join and len(inputs) < 2):
        return None
    weights = sorted((t for t in call.tensors() if call.of(t).weight), key=lambda t: -t.dim())  # a bias comes last
    weight = call.of(weights[0]).weight if weights else None
    return Layer(
        module, kind, tuple(inputs), None if is_join else weight, shape(tensors_in([call.out])[0]), dict(followed.axes)
    )


def counted(call: Call, module: str) -> Counted | None:
    """Return what an operation costs, None where torch counts nothing."""
    count = flop_registry.get(call.func.overloadpacket)
    if count is None:
        return None
    macs = _flops(count, call) // 2
    weights = [t for t in call.tensors() if t.dim() >= 2 and _is_whole(call.of(t), t)]
    kind = "linear" if call.name in ("addmm", "mm", "linear") else call.name
    along = tuple(_free_axes(call, weights[0] if weights else None))
    macs //= math.prod(len(cells) for cells in along)
    if weights and macs % weights[0].numel() == 0:
        name = call.of(weights[0]).weight
        return Counted(name.rpartition(".")[0], kind, name, macs // weights[0].numel(), along)
    return Counted(module, kind, None, macs, along)


def _flops(count: Any, call: Call) -> int:
    plain = getattr(count, "__wrapped__", None)  # takes shapes; torch finds them in half a millisecond
    if plain is None:
        return int(count(*call.args, **call.kwargs, out_val=call.out))
    kwargs = {name: _shapes(value) for name, value in call.kwargs.items()}
    return int(plain(*map(_shapes, call.args), **kwargs, out_shape=_shapes(call.out)))


def _shapes(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.shape
    return type(value)(_shapes(each) for each in value) if type(value) in (tuple, list) else value


def _is_whole(followed: Followed, tensor: Tensor) -> bool:
    # A view of a weight has all its elements, and so its name; a slice of one has not, and is counted by its axes.
    return bool(followed.weight) and followed.elements == tensor.numel()


def _free_axes(call: Call, weight: Tensor | None) -> Iterator[IntArray]:
    """Yield the cells of those axes of a product that its weight doesn't have."""
    if call.name in ("convolution", "_convolution"):
        followed = call.of(call["weight"])
        yield from () if weight is not None else followed.axes.values()
        return
    tensors = call.args[1:3] if call.name in ("addmm", "baddbmm") else call.args[:2]
    a, b = tensors[0], tensors[1]
    for dim, cells in call.of(a).axes.items() if a is not weight else ():
        is_summed = dim == a.dim() - 1
        if not (is_summed and weight is not None):
            yield cells
    for dim, cells in call.of(b).axes.items() if b is not weight else ():
        is_shared = dim == b.dim() - 2 or (dim < b.dim() - 2 and weight is None)
        if not is_shared:
            yield cells
