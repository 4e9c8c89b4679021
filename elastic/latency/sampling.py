"""Sampling: which sub-networks are measured. Each gives one point for every layer at once.

The first are alike in all layers. Then every group draws a width of its own, so that inputs and outputs vary apart;
every other network keeps multiples of eight. A number and a seed say all, so a run that was killed goes on with the
same.
"""

from typing import Literal

import numpy as np

from elastic.plan import IntArray, LevelArray, Plan

Role = Literal["fit", "check"]

SHARES = (1.0, 0.5, 0.25, 0.75, 0.1, 0.35)  # of every group, in the first networks
NARROWEST = 0.1  # share of a group that a drawn network keeps at least
MULTIPLE = 8


def draw_widths(plan: Plan, role: Role, number: int, seed: int) -> IntArray:
    """Return how many units each group keeps in a network, one at least, [groups]."""
    units = np.array([len(group.units) for group in plan.groups])
    if role == "fit" and number < len(SHARES):
        alike: IntArray = np.maximum(1, np.rint(SHARES[number] * units)).astype(np.int64)
        return alike
    random = np.random.default_rng([seed, role == "check", number])
    power = np.exp(random.uniform(-1, 1))  # some networks are narrow on the whole, some wide
    widths = np.rint((NARROWEST + (1 - NARROWEST) * random.uniform(size=len(units)) ** power) * units)
    if number % 2:
        widths = np.rint(widths / MULTIPLE) * MULTIPLE
        widths = np.where(widths == 0, np.minimum(MULTIPLE, units), widths)
    drawn: IntArray = np.clip(widths, 1, units).astype(np.int64)
    return drawn


def levels_of(plan: Plan, widths: IntArray) -> LevelArray:
    """Return the level of every unit [units], 0 for the first units of each group: which ones stay takes no time."""
    levels = np.ones(plan.units, np.uint8)
    for group, width in zip(plan.groups, widths.tolist(), strict=True):
        levels[group.units[:width]] = 0
    return levels
