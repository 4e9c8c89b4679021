"""Conditional: the part of a convolution that only open gates ask for, as plain data.

A gated convolution is a base that is always computed, and this part on other (or all) input channels, which is added
where a gate is open (Hua et al., arXiv:1805.12549). The bias belongs to the base.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from elastic.errors import MaskMismatch

Pair = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Conditional:
    """A convolution without bias that reads `channels` of the input, and its weights as matrices too."""

    weight: Tensor  # [out, inputs / groups, kh, kw], channels last
    matrices: tuple[Tensor, ...]  # for each group [kh * kw * inputs / groups, out / groups]
    stride: Pair
    padding: Pair
    dilation: Pair
    groups: int
    first: int  # the input channel that it begins with

    @property
    def outputs(self) -> int:
        """Return how many channels it makes."""
        return int(self.weight.shape[0])

    @property
    def kernel(self) -> Pair:
        """Return height and width."""
        return int(self.weight.shape[2]), int(self.weight.shape[3])

    @property
    def channels(self) -> slice:
        """Return those of the input that it reads."""
        return slice(self.first, self.first + int(self.weight.shape[1]) * self.groups)

    def size(self, height: int, width: int) -> Pair:
        """Return height and width of what it makes of an input of this size."""
        high, wide = (
            (inputs + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
            for inputs, kernel, stride, padding, dilation in zip(
                (height, width), self.kernel, self.stride, self.padding, self.dilation, strict=True
            )
        )
        return high, wide


def conditional(
    weight: Tensor,
    *,
    stride: int | Pair = 1,
    padding: int | Pair = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
    first: int = 0,
) -> Conditional:
    """Return the conditional part with weights [out, inputs / groups, kh, kw], which it copies twice.

    It reads the input channels from `first` on, as many as the weights need. Make it anew when the weights change.

    Raises MaskMismatch for weights that are no convolution's.
    """
    if weight.dim() != 4 or weight.shape[0] % groups:
        raise MaskMismatch(
            f"weights of shape {list(weight.shape)} are no convolution of {groups} groups; "
            "give [out, inputs / groups, kh, kw], with a multiple of groups for out"
        )
    kept = weight.detach().clone(memory_format=torch.channels_last)
    # [out, c, kh, kw] -> for each group [kh, kw, c, out / groups]
    parts = [part.permute(2, 3, 1, 0).flatten(0, 2).contiguous() for part in kept.chunk(groups)]
    return Conditional(kept, tuple(parts), _pair(stride), _pair(padding), _pair(dilation), groups, first)


def conditional_of(layer: torch.nn.Conv2d, first: int = 0) -> Conditional:
    """Return what a layer of one group does with the input channels from `first` on.

    Raises MaskMismatch for several groups, and for padding that isn't zeros of a given number.
    """
    padding: Any = layer.padding
    if layer.groups != 1 or layer.padding_mode != "zeros" or isinstance(padding, str):
        raise MaskMismatch(
            f"a layer of {layer.groups} groups, padded by {padding!r} of {layer.padding_mode} can't be split at input "
            f"channel {first}; it has to have one group, and a number of zeros on each side"
        )
    return conditional(
        layer.weight[:, first:],
        stride=_pair(layer.stride),
        padding=_pair(padding),
        dilation=_pair(layer.dilation),
        first=first,
    )


def _pair(value: int | tuple[int, ...]) -> Pair:
    return (value, value) if isinstance(value, int) else (value[0], value[1])
