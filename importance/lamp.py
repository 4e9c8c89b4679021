"""LAMP: a unit's magnitude against that of all that would outlive it in its layer.

Lee et al., "Layer-adaptive Sparsity for the Magnitude-based Pruning", ICLR 2021, section 2, arXiv:2010.07611:
score(u) = w_u^2 / sum of w_v^2 over all v of the layer that are not smaller. The paper's u are single weights; what
leaves here are units, so w_u^2 is the reduced squared magnitude of a unit, and its layer is its group.
"""

from dataclasses import dataclass

import numpy as np
from torch import nn

from elastic.importance.magnitude import Magnitude
from elastic.importance.reduction import Reduction
from elastic.importance.seam import Scores
from elastic.plan import Plan


@dataclass(frozen=True)
class Lamp:
    """Score = magnitude of the unit / sum of the magnitudes of its group that are not smaller; equal units tie."""

    reduction: Reduction = "sum"

    def __call__(self, model: nn.Module, plan: Plan) -> Scores:
        """Return one score for each unit, [units], from 0 to 1; the largest of each group has 1 if it is alone."""
        magnitudes = Magnitude(2, self.reduction)(model, plan)
        scores = np.zeros(plan.units)
        for group in plan.groups:
            own = magnitudes[group.units]
            values, place, counts = np.unique(own, return_inverse=True, return_counts=True)
            outlive = np.cumsum((values * counts)[::-1])[::-1]  # sum of all that are not smaller
            scores[group.units] = own / np.maximum(outlive[place], np.finfo(np.float64).tiny)
        return scores
