"""Settling: from logits to binary gates, exactly at the target and within the bounds.

Units leave in the order of their logits, so what gates have learned is changed only where they miss the target.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elastic.allocation import Scores, allocate
from elastic.errors import TargetError
from elastic.gates.opening import Gates
from elastic.plan import BoolArray, Group, Plan

CLOSED = -1e4  # a logit at which a gate is 0, and its slope too, in float32
OPEN = 1.0  # the least logit of a gate that stays open
HALVINGS = 14  # of the share of the MACs, to meet a target that is no sum of products


def settled(plan: Plan, scores: Scores, target: str, bounds: Mapping[str, Any]) -> BoolArray:
    """Return which units stay, [units], in the network that is as large as a target such as `macs=60%` allows."""
    stays: BoolArray = allocate(plan, scores, target=target, normalisation="none", **bounds) == 0
    return stays


def settled_by_price(
    plan: Plan, scores: Scores, price: Callable[[Tensor], Tensor], share: float, bounds: Mapping[str, Any]
) -> BoolArray:
    """Return which units stay, [units], in the largest such network whose price is no more than a share of the whole.

    Raises TargetError if none is found.
    """
    low, high, found = 0.0, 1.0, None
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        try:
            stays = settled(plan, scores, f"macs={middle:.6%}", bounds)
        except TargetError:
            low = middle
            continue
        if float(price(torch.from_numpy(stays).double())) <= share:
            low, found = middle, stays
        else:
            high = middle
    if found is None:
        raise TargetError(f"no network of these gates has {share:.1%} of the price; raise the target, or widen bounds")
    return found


def settle(gates: Gates, stays: BoolArray) -> None:
    """Change the logits so that the gates of units that stay are open, and the others closed for good."""
    with torch.no_grad():
        is_open = torch.from_numpy(stays).to(gates.logits.device)
        closed = torch.full_like(gates.logits, CLOSED)
        gates.logits.copy_(torch.where(is_open, gates.logits.clamp_min(OPEN), closed))


def hold_open(gates: Gates, floors: Sequence[tuple[Group, int]]) -> None:
    """Change the highest logits of each group, as many as its floor, to be those of open gates."""
    with torch.no_grad():
        for group, floor in floors:
            units = torch.as_tensor(np.asarray(group.units), device=gates.logits.device)
            highest = units[gates.logits[units].topk(floor).indices]
            gates.logits[highest] = gates.logits[highest].clamp_min(OPEN)
