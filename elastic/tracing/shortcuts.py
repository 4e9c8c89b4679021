"""Shapes without kernels: what common operations make on the meta device, without torch's own way to find out.

Many of torch's meta kernels are Python and take up to a millisecond, most of a trace. These return an empty tensor of
the same shape, strides and dtype, refuse what torch refuses, and leave to torch whatever is not the plain case.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from elastic.tracing.call import Call

Shortcut = Callable[..., Any]  # of an operation's arguments; NotImplemented where the case isn't plain


def like_first(x: Tensor, *_: Any, **options: Any) -> Any:
    """Return what is shaped as the first argument."""
    return torch.empty_like(x) if x.is_floating_point() and "dtype" not in options else NotImplemented


def binary(x: Any, y: Any, *_: Any, **options: Any) -> Any:
    """Return a sum or product of tensors that are laid out alike, or of a tensor and a number."""
    if not isinstance(x, Tensor) or not x.is_floating_point() or "rounding_mode" in options:
        return NotImplemented
    is_alike = not isinstance(y, Tensor) or (x.shape == y.shape and x.stride() == y.stride() and x.dtype == y.dtype)
    return torch.empty_like(x) if is_alike else NotImplemented


def layer_norm(x: Tensor, lengths: Any, weight: Any, bias: Any, eps: float) -> Any:
    """Return the norm of a tensor, and its statistics."""
    kept = x.shape[: x.dim() - len(lengths)]
    if tuple(x.shape[len(kept) :]) != tuple(lengths) or any(
        p is not None and p.shape != x.shape[len(kept) :] for p in (weight, bias)
    ):
        return NotImplemented
    statistic = x.new_empty([*kept, *[1] * len(lengths)])
    return torch.empty_like(x, memory_format=torch.contiguous_format), statistic, torch.empty_like(statistic)


def batch_norm(x: Tensor, *rest: Any) -> Any:
    """Return the norm of a tensor by running statistics."""
    weight, bias, mean, variance, training = rest[:5]
    params = [p for p in (weight, bias, mean, variance) if p is not None]
    if training or len(params) < 2 or any(p.shape[0] != x.shape[1] for p in params):
        return NotImplemented
    return torch.empty_like(x), x.new_empty(0), x.new_empty(0)


def mm(a: Tensor, b: Tensor) -> Any:
    """Return a matrix product."""
    return a.new_empty((a.shape[0], b.shape[1])) if a.shape[1] == b.shape[0] else NotImplemented


def addmm(bias: Tensor, a: Tensor, b: Tensor, **_: Any) -> Any:
    """Return a matrix product and a bias."""
    return mm(a, b) if bias.dim() == 1 and bias.shape[0] == b.shape[1] else NotImplemented


def bmm(a: Tensor, b: Tensor) -> Any:
    """Return a batch of matrix products."""
    fits = a.shape[0] == b.shape[0] and a.shape[2] == b.shape[1]
    return a.new_empty((a.shape[0], a.shape[1], b.shape[2])) if fits else NotImplemented


def convolution(x: Tensor, weight: Tensor, bias: Any, *rest: Any) -> Any:
    """Return a convolution of a batch."""
    stride, padding, dilation, transposed, _, groups = rest
    kernel = weight.shape[2:]
    if transposed or x.dim() != weight.dim() or x.shape[1] != weight.shape[1] * groups or weight.shape[0] % groups:
        return NotImplemented
    if (bias is not None and bias.shape != weight.shape[:1]) or len(stride) != len(kernel):
        return NotImplemented
    sizes = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(x.shape[2:], kernel, stride, padding, dilation, strict=True)
    ]
    return x.new_empty((x.shape[0], weight.shape[0], *sizes)) if min(sizes) > 0 else NotImplemented


def mean(x: Tensor, dims: Any, keepdim: bool = False, **options: Any) -> Any:
    """Return a mean over some axes."""
    if not dims or options or not x.is_floating_point():
        return NotImplemented
    over = {dim % x.dim() for dim in dims}
    sizes = [1 if dim in over else size for dim, size in enumerate(x.shape) if keepdim or dim not in over]
    return x.new_empty(sizes) if len(over) == len(dims) else NotImplemented


def cat(parts: list[Tensor], dim: int = 0) -> Any:
    """Return contiguous tensors end to end."""
    first = parts[0]
    dim %= max(1, first.dim())
    rest = [[size for axis, size in enumerate(part.shape) if axis != dim] for part in parts]
    is_plain = all(p.is_contiguous() and p.dtype == first.dtype and p.dim() == first.dim() for p in parts)
    if not is_plain or any(sizes != rest[0] for sizes in rest):
        return NotImplemented
    return first.new_empty([sum(p.shape[dim] for p in parts) if a == dim else n for a, n in enumerate(first.shape)])


LIKE_FIRST = (
    "gelu", "silu", "relu", "sigmoid", "tanh", "hardswish", "hardsigmoid", "clamp", "clamp_min", "exp", "_safe_softmax",
)  # fmt: skip

SHORTCUTS: dict[str, Shortcut] = {
    **dict.fromkeys(LIKE_FIRST, like_first),
    **dict.fromkeys(("add", "sub", "mul", "div"), binary),
    "_softmax": lambda x, dim, half: torch.empty_like(x) if x.is_floating_point() and not half else NotImplemented,
    "native_layer_norm": layer_norm,
    "native_batch_norm": batch_norm,
    "convolution": convolution,
    "mean": mean,
    "mm": mm,
    "addmm": addmm,
    "bmm": bmm,
    "cat": cat,
}


def run(call: Call) -> Any:
    """Return the outputs of an operation, by its shortcut where all is on the meta device."""
    shortcut = SHORTCUTS.get(call.name)
    if shortcut is not None and _is_on_meta(call.args):
        try:
            out = shortcut(*call.args, **call.kwargs)
        except (TypeError, IndexError, ValueError, AttributeError, ZeroDivisionError):  # of another overload
            out = NotImplemented
        if out is not NotImplemented:
            return call.args[0] if call.signature.is_in_place else out
    return call.func(*call.args, **call.kwargs)


def _is_on_meta(args: Any) -> bool:
    return all(
        (not isinstance(a, Tensor) or a.is_meta) and (not isinstance(a, list | tuple) or _is_on_meta(a)) for a in args
    )
