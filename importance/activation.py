"""Activation: a channel matters as much as what its consumers see of it, over all data.

Molchanov et al., "Pruning Convolutional Neural Networks for Resource Efficient Inference", ICLR 2017,
arXiv:1611.06440, section 2.2, "Activation": the mean over all samples and places, here of |x| or of x^2, of what goes
into each layer that takes the channel in. Grouped layers are passed over, since they see a channel that others see too;
what no layer is seen to take in stands as `standing.py` says.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from elastic.importance.batches import Batches, batches, run, undisturbed
from elastic.importance.calls import Call, Calls
from elastic.importance.reduction import Reduction, reduce_along_axes
from elastic.importance.seam import Scores
from elastic.importance.standing import stand_in, units_on
from elastic.importance.weights import weights_of
from elastic.plan import Axis, Plan

# The axis of the input that holds channels, and the axis of the weight that takes them in.
TAKES_IN = (
    {F.linear: (-1, 1)}
    | dict.fromkeys((F.conv1d, F.conv2d, F.conv3d), (1, 1))
    | dict.fromkeys((F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d), (1, 0))
)


@dataclass(frozen=True, eq=False)
class Activation:
    """Score = sum over its consumers of the mean |x|^p of a unit's channels; p = 2 is their energy."""

    data: Batches
    p: int = 1
    reduction: Reduction = "sum"

    def __call__(self, model: nn.Module, plan: Plan) -> Scores:
        """Return one score for each unit, [units]. Labels are not looked at."""
        means = mean_inputs(model, plan, self.data, self.p)
        scores = reduce_along_axes(means, plan, self.reduction)
        return stand_in(scores, units_on(list(means), plan), model, plan)


def mean_inputs(model: nn.Module, plan: Plan, data: Batches, p: int) -> Mapping[Axis, Tensor]:
    """Return the mean of |x|^p over all that a layer gets, [positions], for each axis that takes channels in."""
    sums: dict[Axis, Tensor] = {}
    counts: dict[Axis, int] = {}

    def see(call: Call) -> None:
        channels, axis = TAKES_IN.get(call.function, (0, 0))
        home = (call.weight or "", axis)
        if call.function not in TAKES_IN or call.arguments.get("groups", 1) != 1 or home not in plan.axes:
            return
        values = call.input.detach().abs().pow(p).movedim(channels, -1).flatten(0, -2)  # [all places, positions]
        sums[home] = sums.get(home, 0.0) + values.sum(0, dtype=torch.float64)
        counts[home] = counts.get(home, 0) + len(values)

    with undisturbed(model, gradients=False), Calls(weights_of(model, plan), see):
        for batch in batches(data, model):
            run(model, batch.inputs)
    return {home: total / counts[home] for home, total in sums.items()}
