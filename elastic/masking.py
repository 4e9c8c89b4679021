"""Mask: keep every shape and zero what a cut would remove; the yardstick that a cut is held against.

Removing units must give what zeroing them gives. Norms whose statistics run over channels see fewer of them after a
cut, so while the two are compared they count only the channels that stay.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from elastic.cutting import State, each
from elastic.plan import BoolArray, LevelArray, Plan
from elastic.roles import made_axes


def masked(state: State, plan: Plan, levels: LevelArray, level: int = 0) -> dict[str, Tensor]:
    """Return the whole state dict with the parameters of every removed unit set to zero, buffers as they are."""
    positions = plan.position_levels(levels)

    def mask(name: str, tensor: Tensor) -> Tensor:
        if not plan.tensors[name].is_parameter:
            return tensor
        for axis, found in positions.get(name, {}).items():
            tensor = _without(tensor, axis, found <= level)
        return tensor

    return each(state, plan, mask)


def silenced(state: State, plan: Plan, levels: LevelArray, level: int = 0) -> dict[str, Tensor]:
    """Return the whole state dict with the weights that make the removed units at zero.

    A unit then makes a constant. Biases, norms and what reads it stay as they are, so that gradients reach the zeros
    and units can come back.
    """
    positions = plan.position_levels(levels)
    makers = made_axes(plan)

    def silence(name: str, tensor: Tensor) -> Tensor:
        axis = makers.get(name, -1)
        found = positions.get(name, {}).get(axis)
        return tensor if found is None else _without(tensor, axis, found <= level)

    return each(state, plan, silence)


def _without(tensor: Tensor, axis: int, stays: BoolArray) -> Tensor:
    shape = [-1 if other == axis else 1 for other in range(tensor.dim())]
    return tensor.masked_fill(~torch.from_numpy(stays).to(tensor.device).view(shape), 0)


class NormsOverWhatStays(TorchFunctionMode):
    """While active, norms over channels take their statistics over what isn't zero.

    Those of activations (layer_norm, one-group group_norm, rms_norm) count the channels whose weight isn't zero; those
    of a weight (weight_norm, the batch_norm of a standardised weight) the elements that aren't.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is F.layer_norm:
            return _layer_norm(*args, **kwargs)
        if func in (F.rms_norm, torch.rms_norm):
            return _rms_norm(*args, **kwargs)
        if func is torch._weight_norm:
            return func(*args, **kwargs).nan_to_num(0)
        if func is F.batch_norm and kwargs.get("training") and isinstance(args[0], Tensor) and args[0].shape[0] == 1:
            return _standardised(*args, **kwargs)
        if func is F.group_norm and (args[1] if len(args) > 1 else kwargs["num_groups"]) == 1:
            return _group_norm(*args, **kwargs)
        return func(*args, **kwargs)


def _layer_norm(
    input: Tensor, normalized_shape: Any, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    if weight is None:
        return F.layer_norm(input, normalized_shape, None, bias, eps)
    return _normalised(input, weight, bias, tuple(range(-weight.dim(), 0)), eps)


def _rms_norm(input: Tensor, normalized_shape: Any, weight: Tensor | None = None, eps: float | None = None) -> Tensor:
    if weight is None:
        return F.rms_norm(input, normalized_shape, None, eps)
    axes = tuple(range(-weight.dim(), 0))
    stays = (weight != 0).to(input.dtype).expand(input.shape)
    square = _mean_of(input.square(), stays, axes)
    return input * torch.rsqrt(square + (torch.finfo(input.dtype).eps if eps is None else eps)) * weight


def _standardised(
    input: Tensor, mean: Any, variance: Any, weight: Tensor | None = None, bias: Tensor | None = None, **options: Any
) -> Tensor:
    """[1, O, I*k*k]: the batch norm of a weight over the inputs that are left of it."""
    if mean is not None or input.dim() != 3:
        return F.batch_norm(input, mean, variance, weight, bias, **options)
    stays = (input != 0).any(1, keepdim=True).to(input.dtype).expand(input.shape)
    average = _mean_of(input, stays, (2,))
    square = _mean_of((input - average).square(), stays, (2,))
    out = (input - average) * stays * torch.rsqrt(square + options.get("eps", 1e-5))
    out = out if weight is None else out * weight.view(1, -1, 1)
    return out if bias is None else out + bias.view(1, -1, 1)


def _group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    if weight is None:
        return F.group_norm(input, num_groups, None, bias, eps)
    channels = (-1, *[1] * (input.dim() - 2))  # [C] -> [C, 1, ...]
    bias = bias if bias is None else bias.view(channels)
    return _normalised(input, weight.view(channels), bias, tuple(range(1, input.dim())), eps)


def _normalised(x: Tensor, weight: Tensor, bias: Tensor | None, axes: tuple[int, ...], eps: float) -> Tensor:
    stays = (weight != 0).to(x.dtype).expand(x.shape)
    mean = _mean_of(x, stays, axes)
    variance = _mean_of((x - mean).square(), stays, axes)
    y = (x - mean) * torch.rsqrt(variance + eps) * weight
    return y if bias is None else y + bias


def _mean_of(x: Tensor, stays: Tensor, axes: tuple[int, ...]) -> Tensor:
    return (x * stays).sum(axes, keepdim=True) / stays.sum(axes, keepdim=True).clamp_min(1)
