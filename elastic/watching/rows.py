"""Rows: a layer as a matrix product. What it reads at some of its output positions, and what it makes there.

A convolution reads a window of every channel of a group, a linear layer a vector; with a column of ones for the
constant, its outputs are rows @ weights. Columns are places of the window, and channels within each, as then a row is
a few long runs of an input whose channels are last in memory.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import grad

from elastic.watching.calls import Call

Index = tuple[Tensor, ...]  # image, then place along each spatial axis


@dataclass(eq=False)
class Layer:
    """A call of a convolution or a linear layer: x [N, C, ..] or [.., C], weight [O, C / groups, ..]."""

    x: Tensor
    weight: Tensor
    bias: Tensor | None
    stride: tuple[int, ...] = ()
    padding: tuple[tuple[int, int], ...] = ()
    dilation: tuple[int, ...] = ()
    groups: int = 1

    @cached_property
    def padded(self) -> Tensor:
        """The input of a convolution with its padding."""
        pads = [p for pad in reversed(self.padding) for p in pad]
        return F.pad(self.x, pads) if any(pads) else self.x

    @cached_property
    def by_place(self) -> Tensor:
        """The padded input of a convolution, [places of all images, channels]."""
        return self.padded.movedim(1, -1).flatten(0, -2)

    @property
    def columns(self) -> int:
        """How many inputs an output is made of, without the constant."""
        return self.weight[0].numel()

    @property
    def out_dim(self) -> int:
        """The axis of the outputs that the channels lie on."""
        return 1 if self.stride else -1


def layer_of(call: Call) -> Layer:
    """Return a call of `conv1d`, `conv2d`, `conv3d` or `linear` as a layer."""
    x, weight, bias = call.args[0], call.get(1, "weight"), call.get(2, "bias")
    if call.name == "linear":
        return Layer(x, weight, bias)
    rank = weight.dim() - 2
    stride = _each(call.get(3, "stride", 1), rank)
    dilation = _each(call.get(5, "dilation", 1), rank)
    padding = call.get(4, "padding", 0)
    spans = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True)]
    if padding == "same":
        pads = tuple((span // 2, span - span // 2) for span in spans)
    else:
        pads = tuple((p, p) for p in _each(0 if padding == "valid" else padding, rank))
    return Layer(x, weight, bias, stride, pads, dilation, int(call.get(6, "groups", 1)))


def choose(made: Tensor, layer: Layer, most: int, generator: torch.Generator) -> Index:
    """Return at most so many positions of a layer's output, drawn evenly, all of them where there are fewer."""
    sizes = [n for dim, n in enumerate(made.shape) if dim != layer.out_dim % made.dim()]
    total = math.prod(sizes)
    flat = torch.randperm(total, generator=generator)[:most].sort().values if total > most else torch.arange(total)
    return tuple(torch.unravel_index(flat, sizes))


def read(layer: Layer, index: Index) -> Tensor:
    """Return what a layer reads at these positions of its output, [groups, rows, columns]."""
    if not layer.stride:
        return layer.x[index][None]
    sizes, kernel = layer.padded.shape[2:], layer.weight.shape[2:]
    starts, within = index[0], torch.zeros(1, dtype=torch.long)
    for places, size, stride, span, step in zip(index[1:], sizes, layer.stride, kernel, layer.dilation, strict=True):
        starts = starts * size + places * stride
        within = (within[:, None] * size + torch.arange(span) * step).flatten()
    where = (starts[:, None] + within).flatten().to(layer.x.device)
    found = layer.by_place.index_select(0, where).view(len(starts), len(within), layer.groups, -1)
    return found.permute(2, 0, 1, 3).flatten(2)


def at(made: Tensor, layer: Layer, index: Index) -> Tensor:
    """Return a layer's outputs at these positions, [groups, rows, outputs of a group]."""
    where: Any = (index[0], slice(None), *index[1:]) if layer.stride else index
    found = made[where]
    return found.reshape(len(index[0]), layer.groups, -1).transpose(0, 1)


def every(made: Tensor, layer: Layer) -> Tensor:
    """Return a layer's outputs at all positions, [groups, rows, outputs of a group]."""
    found = made.movedim(layer.out_dim, -1)
    return found.reshape(-1, layer.groups, found.shape[-1] // layer.groups).transpose(0, 1)


def times(layer: Layer, weights: Tensor, constant: Tensor) -> Tensor:
    """Return what a layer makes with matrices [groups, columns, outputs of a group] and [groups, outputs] for weights.

    Shaped as the layer's own output is.
    """
    weight, bias = as_weight(layer, weights).to(layer.x.dtype), constant.reshape(-1).to(layer.x.dtype)
    if not layer.stride:
        return F.linear(layer.x, weight, bias)
    convolve: Any = (F.conv1d, F.conv2d, F.conv3d)[len(layer.stride) - 1]
    made: Tensor = convolve(layer.padded, weight, bias, layer.stride, 0, layer.dilation, layer.groups)
    return made


def products(layer: Layer, images: slice, made: Tensor) -> Tensor:
    """Return the sums, over the positions of some images, of what a layer reads by `made` [images, ..] there.

    [groups, columns + 1, outputs of a group]; the last column is the constant.
    """
    if not layer.stride:
        sums = made.flatten(0, -2).mT @ layer.x[images].flatten(0, -2)  # [out, in]
    else:
        weight_of: Any = (grad.conv1d_weight, grad.conv2d_weight, grad.conv3d_weight)[len(layer.stride) - 1]
        x, shape = layer.padded[images], layer.weight.shape
        sums = weight_of(x, shape, made, layer.stride, 0, layer.dilation, layer.groups)
    return torch.cat([weights(layer, sums), every(made, layer).sum(1, keepdim=True)], 1)


def weights(layer: Layer, weight: Tensor | None = None) -> Tensor:
    """Return a layer's weights, or others of their shape, as matrices, [groups, columns, outputs of a group]."""
    weight = layer.weight if weight is None else weight
    return _grouped(layer, weight).permute(0, 3, 2, 1).flatten(1, 2)


def as_weight(layer: Layer, matrices: Tensor) -> Tensor:
    """Return matrices [groups, columns, outputs of a group] in the shape of a layer's weight."""
    _, outputs, channels, places = _grouped(layer, layer.weight).shape
    return matrices.view(-1, places, channels, outputs).permute(0, 3, 2, 1).reshape(layer.weight.shape)


def _grouped(layer: Layer, weight: Tensor) -> Tensor:
    """Return a weight as [groups, outputs, channels, places of the kernel]."""
    return weight.reshape(layer.groups, weight.shape[0] // layer.groups, weight.shape[1], -1)


def _each(value: int | tuple[int, ...] | list[int], rank: int) -> tuple[int, ...]:
    return (value,) * rank if isinstance(value, int) else tuple(value) * (rank if len(value) == 1 else 1)
