"""Reduce any element-wise quantity onto units: one scatter-add for each axis."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from elastic.importance.seam import Scores
from elastic.plan import NEVER, Plan


def sum_over_units(values: Mapping[str, Tensor], plan: Plan) -> Scores:
    """Return the sum of `values` over all elements that leave with each unit, float64 [units].

    `values` has tensors of the parameters' names and shapes; what it lacks counts as zero. An element that lies on two
    elastic axes counts for the unit of each.
    """
    totals = torch.zeros(plan.units + 1, dtype=torch.float64)
    for (name, axis), labels in plan.axes.items():
        if name in values:
            others = [other for other in range(values[name].dim()) if other != axis]
            along = values[name].sum(others, dtype=torch.float64) if others else values[name].double()  # [positions]
            index = torch.from_numpy(np.where(labels == NEVER, plan.units, labels))
            totals.scatter_add_(0, index, along.cpu())
    return totals[:-1].numpy()
