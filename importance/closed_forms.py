"""Closed forms: gradients for each item of a batch, from what a layer was called on and the gradient of its output.

Linear layers and convolutions: outer products summed over positions, Goodfellow, "Efficient Per-Example Gradient
Computations", arXiv:1510.01799, section 3, and Rochette et al., arXiv:1912.06015, section 2 for convolutions (here by
unfolding the input). Norms: the upstream gradient times the normalised input.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from elastic.importance.calls import Call

TRAILING = (F.layer_norm, F.rms_norm)  # weights of the last axes; of the other norms they are of axis 1
NORMS = (F.batch_norm, F.instance_norm, F.group_norm, *TRAILING)
CONVOLUTIONS = (F.conv1d, F.conv2d, F.conv3d)


def has_closed_form(call: Call, axis: int) -> bool:
    """Return whether item gradients of a call are known, if the items lie along `axis`."""
    if call.function is F.linear:
        return axis < call.input.dim() - 1
    if call.function in TRAILING:
        return axis < call.input.dim() - len(call.arguments["normalized_shape"])
    is_batched = call.function in NORMS or call.input.dim() == call.arguments["weight"].dim()
    return axis == 0 and is_batched and call.function in (*NORMS, *CONVOLUTIONS)


def item_gradients(call: Call, role: str, inputs: Tensor, upstream: Tensor) -> Tensor:
    """Return the gradient of the call's `role` (weight or bias) for each item, [items, *shape of it].

    `inputs` and `upstream` are [items, ...]: some items of the call's input and of the gradient of its output.
    """
    if role == "bias":
        return _summed(upstream, call)
    if call.function is F.linear:
        return torch.einsum("n...o,n...i->noi", upstream, inputs)
    if call.function in CONVOLUTIONS:
        return _convolution(call.arguments, inputs, upstream)
    plain = {**call.arguments, "input": inputs, "weight": None, "bias": None}
    if call.function is F.rms_norm:
        plain.pop("bias")
    return _summed(upstream * call.function(**plain), call)


def _summed(values: Tensor, call: Call) -> Tensor:
    if call.function is F.linear or call.function in TRAILING:
        kept = 1 if call.function is F.linear else len(call.arguments["normalized_shape"])
        return values.flatten(1, -1 - kept).sum(1) if values.dim() > 1 + kept else values
    return values.flatten(2).sum(2) if values.dim() > 2 else values  # [items, channels, ...] -> [items, channels]


def _convolution(arguments: Any, inputs: Tensor, upstream: Tensor) -> Tensor:
    weight, groups = arguments["weight"], arguments.get("groups", 1)
    patches = _patches(arguments, inputs)  # [items, inputs * kernel, places]
    items, places = len(patches), patches.shape[-1]
    columns = patches.reshape(items, groups, -1, places).transpose(2, 3)
    rows = upstream.reshape(items, groups, -1, places)  # [items, groups, outputs / groups, places]
    return torch.matmul(rows, columns).reshape(items, *weight.shape)


def _patches(arguments: Any, inputs: Tensor) -> Tensor:
    """Return what each place of the output sees, [items, inputs * kernel, places].

    A strided view that is copied once; `F.unfold` says the same for two axes, and takes twice as long.
    """
    kernel = tuple(arguments["weight"].shape[2:])
    stride, dilation = (_each(arguments.get(what, 1), len(kernel)) for what in ("stride", "dilation"))
    padded = F.pad(inputs, _padding(arguments.get("padding", 0), kernel, dilation)).contiguous()
    items, channels, *sizes = padded.shape
    steps = padded.stride()
    axes = range(len(kernel))
    places = [(sizes[axis] - dilation[axis] * (kernel[axis] - 1) - 1) // stride[axis] + 1 for axis in axes]
    view = padded.as_strided(
        (items, channels, *kernel, *places),
        (*steps[:2], *(steps[2 + a] * dilation[a] for a in axes), *(steps[2 + a] * stride[a] for a in axes)),
    )
    return view.reshape(items, channels * math.prod(kernel), math.prod(places))


def _padding(padding: Any, kernel: tuple[int, ...], dilation: tuple[int, ...]) -> list[int]:
    """Return it as `F.pad` takes it: before and after, the last axis first."""
    if padding == "valid":
        padding = 0
    if padding == "same":
        totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        return [side for total in reversed(totals) for side in (total // 2, total - total // 2)]
    return [side for size in reversed(_each(padding, len(kernel))) for side in (size, size)]


def _each(value: Any, axes: int) -> tuple[int, ...]:
    return (value,) * axes if isinstance(value, int) else tuple(value) * (axes // len(value))
