"""Norm scale: a channel matters as much as the norm behind it scales it.

Liu et al., "Learning Efficient Convolutional Networks through Network Slimming", ICCV 2017, section 3: channels are
ranked by |gamma| over all layers at once. Two departures: of a unit with several norms all are reduced, and a unit
without any norm is not left at zero, which would cut it first; `standing.py` says where it stands.
"""

from dataclasses import dataclass

import torch
from torch import nn

from elastic.importance.reduction import Reduction, reduce_over_units
from elastic.importance.seam import Scores
from elastic.importance.standing import stand_in, units_on
from elastic.importance.weights import weights_of
from elastic.plan import Plan


@dataclass(frozen=True)
class NormScale:
    """Score = sum of |gamma| over the norm weights of a unit."""

    reduction: Reduction = "sum"

    @torch.no_grad()
    def __call__(self, model: nn.Module, plan: Plan) -> Scores:
        """Return one score for each unit, [units]."""
        scales = _norm_weights(model, plan)
        scores = reduce_over_units({name: scale.abs() for name, scale in scales.items()}, plan, self.reduction)
        return stand_in(scores, units_on([axis for axis in plan.axes if axis[0] in scales], plan), model, plan)


def _norm_weights(model: nn.Module, plan: Plan) -> dict[str, nn.Parameter]:
    """Return the weights of the layers that the plan calls norms; of a plan without layers, those of one dimension."""
    norms = {layer.weight for layer in plan.layers if layer.kind == "norm"}
    weights = weights_of(model, plan).items()
    return {name: weight for name, weight in weights if (name in norms if plan.layers else weight.dim() == 1)}
