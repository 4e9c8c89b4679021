"""Energy: how much a channel adds to the outputs of the layers that take it in.

Sun et al., "A Simple and Effective Pruning Approach for Large Language Models" (Wanda), ICLR 2024, arXiv:2306.11695,
section 3: |w| times the L2 norm of the input that it multiplies. Here squared, and summed over all the weights of a
channel's consumers: w^2 E[x^2], the energy of what is lost if channels are uncorrelated. Producers don't count.
"""

from dataclasses import dataclass

import torch
from torch import nn

from elastic.importance.activation import mean_inputs
from elastic.importance.batches import Batches
from elastic.importance.reduction import Reduction, reduce_along_axes
from elastic.importance.seam import Scores
from elastic.importance.standing import stand_in, units_on
from elastic.importance.weights import weights_of
from elastic.plan import Plan


@dataclass(frozen=True, eq=False)
class Energy:
    """Score = sum of w^2 E[x^2] over the consumers' weights of a unit."""

    data: Batches
    reduction: Reduction = "sum"

    @torch.no_grad()
    def __call__(self, model: nn.Module, plan: Plan) -> Scores:
        """Return one score for each unit, [units]. Labels are not looked at."""
        weights, along, counts = weights_of(model, plan), {}, {}
        for (name, axis), mean in mean_inputs(model, plan, self.data, 2).items():
            columns = weights[name].double().square().movedim(axis, 0).flatten(1)  # [positions, elements of each]
            along[name, axis] = mean * (columns.amax(1) if self.reduction == "max" else columns.sum(1))
            counts[name, axis] = columns.shape[1]
        scores = reduce_along_axes(along, plan, self.reduction, counts)
        return stand_in(scores, units_on(list(along), plan), model, plan)
