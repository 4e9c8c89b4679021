"""Score: one number for every unit of a plan, by the name of a criterion or by the user's own function."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import nn

from elastic.errors import InvalidWeights, PlanMismatch, UnknownName
from elastic.importance.magnitude import Magnitude
from elastic.importance.random import Random
from elastic.importance.seam import Criterion, Scores
from elastic.plan import Plan

CRITERIA: Mapping[str, Callable[[int], Criterion]] = {
    "magnitude": lambda seed: Magnitude(p=2),
    "magnitude-l1": lambda seed: Magnitude(p=1),
    "random": lambda seed: Random(seed),
}


def score(model: nn.Module, plan: Plan, criterion: str | Criterion = "magnitude", *, seed: int = 0) -> Scores:
    """Return one score for each unit of the plan, float64 [units]; the larger, the more is lost with the unit.

    `criterion` is a name (`magnitude` is L2, `magnitude-l1`, `random`) or any function (model, plan) -> scores.

    Raises UnknownName for a name that no criterion goes by, InvalidWeights if a weight is not finite, PlanMismatch if
    the criterion doesn't return one score for each unit.
    """
    if isinstance(criterion, str) and criterion not in CRITERIA:
        raise UnknownName(f"unknown criterion {criterion!r}; known: {', '.join(CRITERIA)}")
    for name, tensor in model.named_parameters():
        if not tensor.detach().sum(dtype=torch.float64).isfinite():  # one pass; float64 can't overflow on float32
            raise InvalidWeights(f"{name} has values that are not finite; a network with such weights can't be ranked")
    chosen = CRITERIA[criterion](seed) if isinstance(criterion, str) else criterion
    scores = np.asarray(chosen(model, plan), np.float64)
    if scores.shape != (plan.units,):
        raise PlanMismatch(f"{criterion} gave scores of shape {list(scores.shape)} for {plan.units} units")
    return scores
