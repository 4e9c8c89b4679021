"""Beginning: the attention to each unit at first, above 0 and up to 1, by the order or by the values of a criterion."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from elastic.alternating import Alternation
from elastic.attending.bounding import divided
from elastic.gates.channels.beginning import places_of
from elastic.importance import score
from elastic.importance.batches import Batches
from elastic.plan import Plan

LOWEST = 0.1  # of what attention begins at: the weights of its unit are divided by it

FloatArray = npt.NDArray[np.float64]


def first_values(
    alternation: Alternation,
    model: nn.Module,
    plan: Plan,
    quantity: str,
    data: Batches,
    bounds: Mapping[str, Any],
    seed: int,
) -> Tensor:
    """Return the attention at which units begin, float32 [units]; a criterion without order (`random`) is drawn.

    By rank, units of all groups are in one order, that of leaving; by value, each group has its own scale.

    Raises what `score` raises.
    """
    if alternation.mapping == "rank":
        shares = (1 + places_of(alternation.start, model, plan, quantity, data, bounds, seed)) / 2
    else:
        shares = _within_groups(plan, score(model, plan, alternation.start, seed=seed, data=data))
    values = torch.from_numpy(LOWEST + (1 - LOWEST) * shares).float()
    return divided(values, plan, alternation.divisor, alternation.percentile)


def _within_groups(plan: Plan, scores: FloatArray) -> FloatArray:
    """Return scores as shares of the highest of their group, 0 to 1."""
    found = np.maximum(scores, 0)
    for group in plan.groups:
        found[group.units] /= found[group.units].max() or 1.0
    return found
