"""Ordering: the one order in which units leave, from scores, who competes, and what each saves.

Within a class of groups that compete, the least value leaves first; between classes, the least place within its class.
The value is the normalised score, or that divided by what the unit saves at the widths that are then left: the greedy
rule of Dantzig, "Discrete-Variable Extremum Problems", 1957, for as many rounds as it takes.
"""

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from elastic.allocation.bounds import Room
from elastic.allocation.products import FloatArray
from elastic.errors import InvalidWeights, PlanMismatch, UnknownName
from elastic.plan import BoolArray, IntArray, Plan

Scores = npt.NDArray[np.floating]
Normalisation = Literal["none", "mean", "max", "gaussian"]
ROUNDS = 64  # between two of them a 64th of the units leaves, so that savings are up to date to about 2 %


def normalised(plan: Plan, scores: Scores, normalisation: Normalisation) -> FloatArray:
    """Return scores that can be compared between groups, [units].

    Raises UnknownName, PlanMismatch if scores are not one for each unit, InvalidWeights if one is not a number.
    """
    if normalisation not in get_args(Normalisation):
        raise UnknownName(f"unknown normalisation {normalisation!r}; known: {', '.join(get_args(Normalisation))}")
    known = check_scores(plan, scores)
    value = known.copy()
    for group in plan.groups:
        own = known[group.units]
        if normalisation == "mean":
            value[group.units] = own / (np.abs(own).mean() or 1)
        elif normalisation == "max":
            value[group.units] = own / (np.abs(own).max() or 1)
        elif normalisation == "gaussian":
            # Of equal scores the deviation is rounding, not spread.
            spread = own.std() if own.max() > own.min() else 0
            value[group.units] = (own - own.mean()) / spread if spread else 0
    return value


def check_scores(plan: Plan, scores: Scores) -> FloatArray:
    """Return the scores in float64.

    Raises PlanMismatch if they are not one for each unit, InvalidWeights if one is not a number.
    """
    found: FloatArray = np.asarray(scores, np.float64)
    if found.shape != (plan.units,):
        raise PlanMismatch(f"scores of shape {list(found.shape)} for a plan of {plan.units} units; give one each")
    if not np.isfinite(found).all():
        unit = int(np.flatnonzero(~np.isfinite(found))[0])
        group = plan.groups[plan.group_of_unit[unit]].name
        raise InvalidWeights(
            f"the score of unit {unit} in {group} is {found[unit]}; check the weights and the criterion"
        )
    return found


def by_value(value: FloatArray, classes: IntArray) -> IntArray:
    """Return all units in the order in which they leave, by value alone; `classes` [units] says who competes."""
    order = np.lexsort((value, classes))  # stable: equal values leave in the order of unit numbers
    return _merged(order, classes)


def by_saving(
    plan: Plan,
    first: IntArray,
    value: FloatArray,
    classes: IntArray,
    room: Room,
    savings: Callable[[BoolArray], FloatArray],
    at_once: float = np.inf,
) -> IntArray:
    """Return all units in the order in which they leave, by value for what a unit saves at the widths then left.

    `first` is an order that decides between equals, and which units of a group the bounds hold back. Where values
    are below zero, all are counted from the least: a score lost can't be less than none. Of units with one ratio the
    one that saves most leaves first. No round takes more units of a class than save `at_once`: where savings jump, as
    those of memory do when the peak moves, they have to be up to date by what was saved, not by how many left.
    """
    value = value - min(0.0, float(value.min(initial=0)))
    depth, place = depth_within_groups(plan, first), np.argsort(first)
    stays = depth < room.most[plan.group_of_unit]
    held = depth < room.least[plan.group_of_unit]
    taken = [first[~stays[first]]]  # what a mapping or a larger level has cut is gone before the first round
    size = np.bincount(classes[stays & ~held], minlength=int(classes.max()) + 1)
    gone = np.zeros_like(size)
    rounds, done = min(plan.units, ROUNDS), 0
    while len(units := np.flatnonzero(stays & ~held)):
        done += 1
        saved = savings(stays)[units]
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(saved > 0, value[units] / saved, np.inf)
        order = np.lexsort((place[units], -saved, ratio, classes[units]))
        own = classes[units][order]
        quota = size * min(done, rounds) // rounds - gone
        before = _before(np.maximum(saved[order], 0), own, len(size))
        leaving = units[order[(_place_within(own, len(size)) < quota[own]) & (before < at_once)]]
        stays[leaving] = False
        gone += np.bincount(classes[leaving], minlength=len(size))
        taken.append(leaving)
    order = np.concatenate([*taken, first[stays[first]]])
    return _merged(order[np.argsort(classes[order], kind="stable")], classes)


def depth_within_groups(plan: Plan, order: IntArray) -> IntArray:
    """Return how many units of its group stay longer than each, [units]."""
    last_first = order[::-1]
    sorted_ = last_first[np.argsort(plan.group_of_unit[last_first], kind="stable")]
    depth = np.empty(plan.units, np.int64)
    depth[sorted_] = _place_within(plan.group_of_unit[sorted_], len(plan.groups))
    return depth


def _merged(order: IntArray, classes: IntArray) -> IntArray:
    """Return units, given class by class, in the order of their places, so that all classes lose the same share."""
    own = classes[order]
    size = np.bincount(classes)
    share = np.empty(len(order))
    share[order] = (_place_within(own, len(size)) + 0.5) / size[own]
    return np.argsort(share, kind="stable")


def _before(amounts: FloatArray, numbers: IntArray, most: int) -> FloatArray:
    """Return the sum of what stands before each entry among those of the same number, which stand together."""
    sizes, sums = np.bincount(numbers, minlength=most), np.cumsum(amounts) - amounts
    firsts = np.cumsum(sizes) - sizes
    found: FloatArray = sums - np.repeat(sums[np.minimum(firsts, len(sums) - 1)], sizes)
    return found


def _place_within(numbers: IntArray, most: int) -> IntArray:
    """Return the place of each entry among those of the same number, where equal numbers stand together."""
    sizes = np.bincount(numbers, minlength=most)
    return np.arange(len(numbers)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
