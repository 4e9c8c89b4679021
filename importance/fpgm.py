"""FPGM: a filter near the middle of its layer's filters can be replaced by the others, however large it is.

He et al., "Filter Pruning via Geometric Median for Deep Convolutional Neural Networks Acceleration", CVPR 2019,
arXiv:1811.00250, the section of that name: the filters with the least g(x) = sum over j of |x - F_j|_2 go first. Here
F_j is all of a tensor that leaves with unit j on one axis: producer rows as in the paper, and consumer columns. Vectors
(norm weights) say nothing of similarity and are left out.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from elastic.importance.reduction import Reduction, reduce_along_axes
from elastic.importance.seam import Scores
from elastic.importance.weights import weights_of
from elastic.plan import NEVER, IntArray, Plan


@dataclass(frozen=True)
class Fpgm:
    """Score = sum of the distances of a unit's slice to all other units' slices, over each axis that it lives on."""

    reduction: Reduction = "sum"

    @torch.no_grad()
    def __call__(self, model: nn.Module, plan: Plan) -> Scores:
        """Return one score for each unit, [units]."""
        weights = weights_of(model, plan)
        along = {
            (name, axis): _distances(weights[name].double().transpose(0, axis).flatten(1), labels)
            for (name, axis), labels in plan.axes.items()
            if name in weights and weights[name].dim() > 1
        }
        return reduce_along_axes(along, plan, self.reduction)


def _distances(rows: Tensor, labels: IntArray) -> Tensor:
    """Return for each position [positions] its unit's distance to all others, shared among the unit's positions.

    Slices of units are compared with those of as many positions; an axis that several widths share has several sorts.
    """
    found = torch.zeros(len(rows), dtype=torch.float64)
    units, counts = np.unique(labels[labels != NEVER], return_counts=True)
    for count in np.unique(counts):
        alike = np.isin(labels, units[counts == count])
        places = np.flatnonzero(alike)[np.argsort(labels[alike], kind="stable")]  # by unit, in order within it
        index = torch.from_numpy(places)
        slices = rows[index.to(rows.device)].reshape(len(places) // count, -1)  # [units, all that leaves with each]
        distances = torch.cdist(slices, slices).fill_diagonal_(0).sum(1).cpu()
        found[index] = distances.repeat_interleave(int(count)) / int(count)
    return found
