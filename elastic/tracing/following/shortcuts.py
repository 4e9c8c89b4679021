"""Shapes without kernels: what common operations make on the meta device, without torch's own way to find out.

Many of torch's meta kernels are Python and take up to a millisecond, most of a trace. These return an empty tensor of
the same shape, strides and dtype, refuse what torch refuses, and leave to torch whatever is not the plain case.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from elastic.tracing.following.call import Call

Shortcut = Callable[..., Any]  # of an operation's arguments; NotImplemented where the case isn't plain

META = torch.device("meta")


def empty(x: Tensor, sizes: Sequence[int]) -> Tensor:
    """Return a contiguous tensor of the dtype of another."""
    return torch.empty(sizes, dtype=x.dtype, device=META)


def empty_like(x: Tensor) -> Tensor:
    """Return what `torch.empty_like` does, which takes it a fifth of a millisecond."""
    if x.is_contiguous():
        return torch.empty(x.shape, dtype=x.dtype, device=META)
    if 0 in x.stride():
        return torch.empty_like(x)
    strides, size = [0] * x.dim(), 1
    for dim in sorted(range(x.dim()), key=x.stride().__getitem__):
        strides[dim], size = size, size * x.shape[dim]
    return torch.empty_strided(x.shape, strides, dtype=x.dtype, device=META)


def like_first(x: Tensor, *_: Any, **options: Any) -> Any:
    """Return what is shaped as the first argument."""
    return empty_like(x) if x.is_floating_point() and "dtype" not in options else NotImplemented


def roll(x: Tensor, *_: Any) -> Any:
    """Return a tensor whose positions are others."""
    return empty(x, x.shape)


def binary(x: Any, y: Any, *_: Any, **options: Any) -> Any:
    """Return a sum or product of a tensor and a number, or one that is laid out alike or spreads over it."""
    if not isinstance(x, Tensor) or not x.is_floating_point() or "rounding_mode" in options:
        return NotImplemented
    if not isinstance(y, Tensor):
        return empty_like(x)
    if x.dtype != y.dtype:
        return NotImplemented
    if x.shape == y.shape:
        return NotImplemented if 0 in x.stride() else empty_like(x)  # the first decides on the layout
    large, small = (x, y) if x.dim() >= y.dim() else (y, x)
    decides = large is x or sum(n > 1 for n in small.shape) < 2 or (x.is_contiguous() and y.is_contiguous())
    return empty_like(large) if decides and 0 not in large.stride() and _spreads(small, large) else NotImplemented


def masked_fill(x: Tensor, mask: Tensor, value: Any) -> Any:
    """Return a tensor of which some is filled."""
    return empty(x, x.shape) if _spreads(mask, x) else NotImplemented


def softmax(x: Tensor, dim: int, half: bool = False) -> Any:
    """Return a distribution over an axis."""
    return empty(x, x.shape) if x.is_floating_point() and x.is_contiguous() and not half else NotImplemented


def _spreads(small: Tensor, large: Tensor) -> bool:
    sizes = zip(reversed(small.shape), reversed(large.shape), strict=False)
    return small.dim() <= large.dim() and all(n in (1, m) for n, m in sizes)


def layer_norm(x: Tensor, lengths: Any, weight: Any, bias: Any, eps: float) -> Any:
    """Return the norm of a tensor, and its statistics."""
    kept = x.shape[: x.dim() - len(lengths)]
    if tuple(x.shape[len(kept) :]) != tuple(lengths) or any(
        p is not None and p.shape != x.shape[len(kept) :] for p in (weight, bias)
    ):
        return NotImplemented
    statistics = [*kept, *[1] * len(lengths)]
    return empty(x, x.shape), empty(x, statistics), empty(x, statistics)


def batch_norm(x: Tensor, *rest: Any) -> Any:
    """Return the norm of a tensor by running statistics."""
    weight, bias, mean, variance, training = rest[:5]
    params = [p for p in (weight, bias, mean, variance) if p is not None]
    if training or len(params) < 2 or any(p.shape[0] != x.shape[1] for p in params):
        return NotImplemented
    return empty_like(x), empty(x, (0,)), empty(x, (0,))


def mm(a: Tensor, b: Tensor) -> Any:
    """Return a matrix product."""
    return empty(a, (a.shape[0], b.shape[1])) if a.shape[1] == b.shape[0] else NotImplemented


def addmm(bias: Tensor, a: Tensor, b: Tensor, **_: Any) -> Any:
    """Return a matrix product and a bias."""
    return mm(a, b) if bias.dim() == 1 and bias.shape[0] == b.shape[1] else NotImplemented


def bmm(a: Tensor, b: Tensor) -> Any:
    """Return a batch of matrix products."""
    fits = a.shape[0] == b.shape[0] and a.shape[2] == b.shape[1]
    return empty(a, (a.shape[0], a.shape[1], b.shape[2])) if fits else NotImplemented


def convolution(x: Tensor, weight: Tensor, bias: Any, *rest: Any) -> Any:
    """Return a convolution of a batch."""
    stride, padding, dilation, transposed, _, groups = rest
    kernel = weight.shape[2:]
    outputs = weight.shape[1] * groups if transposed else weight.shape[0]
    if bias is not None and tuple(bias.shape) != (outputs,):  # torch's own kernel of some versions would take it
        raise RuntimeError(f"a bias of shape {list(bias.shape)} for a convolution of {outputs} outputs")
    if transposed or x.dim() != weight.dim() or x.shape[1] != weight.shape[1] * groups or weight.shape[0] % groups:
        return NotImplemented
    if len(stride) != len(kernel):
        return NotImplemented
    sizes = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(x.shape[2:], kernel, stride, padding, dilation, strict=True)
    ]
    return empty(x, (x.shape[0], weight.shape[0], *sizes)) if min(sizes) > 0 else NotImplemented


def mean(x: Tensor, dims: Any, keepdim: bool = False, **options: Any) -> Any:
    """Return a mean over some axes."""
    return reduced(x, dims, keepdim) if dims and not options and x.is_floating_point() else NotImplemented


def vector_norm(x: Tensor, order: float = 2, dims: Any = None, keepdim: bool = False, **options: Any) -> Any:
    """Return the length of what lies along some axes."""
    return reduced(x, dims, keepdim) if dims and not options and x.is_floating_point() else NotImplemented


def reduced(x: Tensor, dims: Sequence[int], keepdim: bool) -> Any:
    """Return one number for what lies along some axes."""
    over = {dim % x.dim() for dim in dims}
    sizes = [1 if dim in over else size for dim, size in enumerate(x.shape) if keepdim or dim not in over]
    return empty(x, sizes) if len(over) == len(dims) else NotImplemented


def upsample(x: Tensor, size: Any, *_: Any, **__: Any) -> Any:
    """Return images, [N, C, ..], of another size."""
    if size is None or x.dim() != len(size) + 2 or min(size) < 1:
        return NotImplemented
    if x.is_contiguous():
        return empty(x, (*x.shape[:2], *size))
    if x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last):
        sizes = (*x.shape[:2], *size)
        return torch.empty(sizes, dtype=x.dtype, device=META, memory_format=torch.channels_last)
    return NotImplemented


def cat(parts: list[Tensor], dim: int = 0) -> Any:
    """Return contiguous tensors end to end."""
    first = parts[0]
    dim %= max(1, first.dim())
    rest = [[size for axis, size in enumerate(part.shape) if axis != dim] for part in parts]
    can_be_any = first.dim() not in (4, 5)  # no channels-last
    is_plain = all(
        (can_be_any or p.is_contiguous()) and p.dtype == first.dtype and p.dim() == first.dim() for p in parts
    )
    if not is_plain or any(sizes != rest[0] for sizes in rest):
        return NotImplemented
    return empty(first, [sum(p.shape[dim] for p in parts) if a == dim else n for a, n in enumerate(first.shape)])


LIKE_FIRST = (
    "gelu", "silu", "relu", "sigmoid", "tanh", "hardswish", "hardsigmoid", "clamp", "clamp_min", "exp", "_safe_softmax",
    "hardtanh", "leaky_relu", "elu", "softplus", "mish", "neg", "abs", "sqrt", "rsqrt", "erf", "cos", "sin",
)  # fmt: skip

SHORTCUTS: dict[str, Shortcut] = {
    **dict.fromkeys(LIKE_FIRST, like_first),
    **dict.fromkeys(("upsample_nearest2d", "upsample_bilinear2d", "upsample_bicubic2d"), upsample),
    **dict.fromkeys(("add", "sub", "mul", "div"), binary),
    "_softmax": softmax,
    "native_layer_norm": layer_norm,
    "native_batch_norm": batch_norm,
    "convolution": convolution,
    "mean": mean,
    "linalg_vector_norm": vector_norm,
    "masked_fill": masked_fill,
    "mm": mm,
    "addmm": addmm,
    "bmm": bmm,
    "cat": cat,
    "roll": roll,
}


def run(call: Call) -> Any:
    """Return the outputs of an operation, by its shortcut where all is on the meta device."""
    shortcut = SHORTCUTS.get(call.name)
    if shortcut is not None and _is_on_meta(call.args):
        try:
            out = shortcut(*call.args, **call.kwargs)
        except (TypeError, IndexError, ValueError, AttributeError, ZeroDivisionError):  # of another overload
            out = NotImplemented
        if out is not NotImplemented and not call.signature.is_in_place:
            return out
        if out is not NotImplemented and out.shape == call.args[0].shape:
            return call.args[0]
    return call.func(*call.args, **call.kwargs)


def _is_on_meta(args: Any) -> bool:
    for each in args:
        if isinstance(each, Tensor):
            if not each.is_meta:
                return False
        elif type(each) in (list, tuple) and not _is_on_meta(each):
            return False
    return True
