"""Bounding: what a step may not close, and what attention is divided by."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from elastic.alternating import Divisor
from elastic.plan import Group, Plan

LEAST = 1e-3  # attention of what would like to close, and may not

Floors = Sequence[tuple[Group, int]]
Price = Callable[[Tensor], Tensor]


def kept_open(before: Tensor, closing: Tensor, floors: Floors) -> Tensor:
    """Return which of the units that are closing stay open, [units]: the highest of each group, as many as its floor.

    `before` [units] is their attention before the step, `closing` which of them the step would close.
    """
    found = torch.zeros_like(closing)
    for group, floor in floors:
        units = torch.as_tensor(np.asarray(group.units), device=before.device)
        if bool(closing[units].any()):
            # What goes on is above what closes, whatever it was before.
            order = before[units] + (~closing[units] & (before[units] > 0)) * (1 + before.max())
            highest = units[order.topk(floor).indices]
            found[highest] = closing[highest]
    return found


def within_goal(price: Price, is_open: Tensor, order: Tensor, closing: Tensor, goal: float) -> Tensor:
    """Return which of the units that are closing may close, [units]: the lowest of an order, down to a price.

    The most of them is taken with which the price is no less than the goal.
    """
    lowest = torch.nonzero(closing).flatten()
    lowest = lowest[order[lowest].argsort(stable=True)]
    low, high = 0, len(lowest)
    while low < high:
        middle = (low + high + 1) // 2
        left = is_open.clone()
        left[lowest[:middle]] = False
        low, high = (middle, high) if float(price(left.double())) >= goal else (low, middle - 1)
    found = torch.zeros_like(closing)
    found[lowest[:low]] = True
    return found


def divided(values: Tensor, plan: Plan, divisor: Divisor, percentile: float) -> Tensor:
    """Return attention [units] divided by the greatest of its group, by a percentile of what is open there, or by 1.

    Zeros stay zeros; groups of nothing else stay as they are.
    """
    if divisor == "none":
        return values
    found = values.clone()
    for group in plan.groups:
        units = torch.as_tensor(np.asarray(group.units), device=values.device)
        own = values[units]
        above = own[own > 0]
        if len(above):
            found[units] = own / (above.max() if divisor == "max" else above.quantile(percentile / 100))
    return found
