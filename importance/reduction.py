"""Reduce any element-wise quantity onto units: one scatter for each axis.

An element that lies on two elastic axes counts for the unit of each; what a quantity lacks counts for none.
"""

from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from elastic.errors import UnknownName
from elastic.importance.seam import Scores
from elastic.plan import NEVER, Axis, Plan

Reduction = Literal["sum", "mean", "max"]


def reduce_over_units(values: Mapping[str, Tensor], plan: Plan, reduction: Reduction = "sum") -> Scores:
    """Return the sum, mean or maximum of `values` over all elements that leave with each unit, float64 [units].

    `values` has tensors of the parameters' names and shapes. A unit of which they have no element scores 0.

    Raises UnknownName for another reduction.
    """
    along = {}
    counts = {}
    for name, axis in plan.axes:
        if name in values:
            along[name, axis] = _along(values[name], axis, reduction)
            counts[name, axis] = values[name].numel() // max(1, values[name].shape[axis])
    return reduce_along_axes(along, plan, reduction, counts)


def reduce_along_axes(
    along: Mapping[Axis, Tensor], plan: Plan, reduction: Reduction = "sum", counts: Mapping[Axis, int] | None = None
) -> Scores:
    """Return the same for values that are already one for each position of an axis, [positions].

    `counts` says for how many elements each position of an axis stands, one if nothing is said.
    """
    if reduction not in get_args(Reduction):
        raise UnknownName(f"unknown reduction {reduction!r}; known: {', '.join(get_args(Reduction))}")
    totals = torch.full((plan.units + 1,), -torch.inf if reduction == "max" else 0.0, dtype=torch.float64)
    elements = torch.zeros(plan.units + 1, dtype=torch.float64)
    for axis, values in along.items():
        index = torch.from_numpy(np.where(plan.axes[axis] == NEVER, plan.units, plan.axes[axis]))
        here = values.detach().double().cpu()
        totals.scatter_reduce_(0, index, here, "amax" if reduction == "max" else "sum")
        elements.scatter_add_(0, index, torch.full_like(here, (counts or {}).get(axis, 1)))
    if reduction == "mean":
        totals /= elements.clamp(min=1)
    return torch.where(elements > 0, totals, 0.0)[:-1].numpy()


def sum_over_units(values: Mapping[str, Tensor], plan: Plan) -> Scores:
    """Return the sum of `values` over all elements that leave with each unit, float64 [units]."""
    return reduce_over_units(values, plan, "sum")


def _along(values: Tensor, axis: int, reduction: Reduction) -> Tensor:
    others = [other for other in range(values.dim()) if other != axis]
    if not others:
        return values
    return values.amax(others) if reduction == "max" else values.sum(others, dtype=torch.float64)  # [positions]
