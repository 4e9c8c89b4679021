"""Layouts: along which axis of a layer's output the samples lie. It is found by trying, never assumed.

One sample of a few is replaced by another. Where a call's output changes only within one slice of an axis, that slice
is the sample's. Windows of an image in a batch of their own are several slices; attention that puts the sequence first
has the samples on axis 1; a norm over the batch changes everywhere, and has no layout.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from elastic.importance.batches import Batch, run
from elastic.importance.calls import Call, Calls

FEW = 3


@dataclass(frozen=True)
class Layout:
    """Samples lie along `axis`, `items` of them in a row for each."""

    axis: int
    items: int


def layouts(model: nn.Module, weights: Mapping[str, nn.Parameter], batch: Batch) -> list[Layout | None]:
    """Return the layout of each call in the order in which the network makes them, None where there is none.

    The batch needs at least two samples.
    """
    few = min(FEW, batch.samples)
    kept, replaced = list(range(few)), [0, *range(2, few), few - 1] if few > 2 else [0, 0]
    one, other = (_outputs(model, weights, _chosen(batch, rows).inputs) for rows in (kept, replaced))
    if len(one) != len(other):
        return []
    return [_layout(a, b, few) for a, b in zip(one, other, strict=True)]


def _chosen(batch: Batch, rows: list[int]) -> Batch:
    def choose(tensor: Tensor) -> Tensor:
        return tensor[rows] if tensor.dim() and len(tensor) == batch.samples else tensor

    return replace(batch, inputs=tree_map_only(Tensor, choose, batch.inputs), samples=len(rows))


def _outputs(model: nn.Module, weights: Mapping[str, nn.Parameter], inputs: Any) -> list[Tensor]:
    found: list[Tensor] = []

    def keep(call: Call) -> None:
        found.append(call.output.detach().clone())  # a ReLU may overwrite it

    with Calls(weights, keep):
        run(model, inputs)
    return found


def _layout(one: Tensor, other: Tensor, samples: int) -> Layout | None:
    """Sample 1 is the one that was replaced."""
    if one.shape != other.shape:
        return None
    changed = one != other
    for axis, size in enumerate(one.shape):
        items, left = divmod(size, samples)
        if left == 0 and items and changed.any():
            along = changed.transpose(0, axis).flatten(1).any(1) if changed.dim() > 1 else changed
            outside = torch.cat([along[:items], along[2 * items :]])
            if not outside.any():
                return Layout(axis, items)
    return None
