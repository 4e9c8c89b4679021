"""Magnitude: a unit matters as much as its weights are large.

Li et al., "Pruning Filters for Efficient ConvNets", ICLR 2017, section 3.1 (L1, producer rows); summed here over all
that leaves with the unit: producer rows, consumer columns and norm weights. Biases and buffers are left out.
"""

from dataclasses import dataclass

import torch
from torch import nn

from elastic.importance.reduction import Reduction, reduce_over_units
from elastic.importance.seam import Scores
from elastic.importance.weights import weights_of
from elastic.plan import Plan


@dataclass(frozen=True)
class Magnitude:
    """Score = sum of |w|^p over the weights of a unit."""

    p: int = 2
    reduction: Reduction = "sum"

    @torch.no_grad()
    def __call__(self, model: nn.Module, plan: Plan) -> Scores:
        """Return one score for each unit, [units]."""
        values = {name: weight.double().abs().pow(self.p) for name, weight in weights_of(model, plan).items()}
        return reduce_over_units(values, plan, self.reduction)
