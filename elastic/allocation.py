"""Choose: from scores, costs and targets to a level for every unit.

Every allocation is one ranking: units leave in the order of their scores, least first, until the cost keeps the
target. `global` ranks scores divided by their group's mean; `uniform` ranks by the place within the group, so that
all groups lose the same share. Cost falls with every unit that leaves, so the turning point is found by bisection;
then the units that left last come back wherever there is still room.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from elastic.costs import Cost, CostModel
from elastic.errors import InvalidWeights, PlanMismatch, TargetError, UnknownName
from elastic.plan import BoolArray, Group, IntArray, LevelArray, Plan
from elastic.targets import Target, parse_target

Scores = npt.NDArray[np.floating]
Ranking = Literal["global", "uniform"]


@dataclass(frozen=True)
class Bounds:
    """What every group keeps: at least so many channels (or so large a share), and a multiple of `round_to`."""

    keep_at_least: float = 1  # channels; below 1, a share of the group
    round_to: int = 1  # channels

    def __post_init__(self) -> None:
        if not 0 < self.keep_at_least < np.inf:
            raise TargetError(f"--keep-at-least {self.keep_at_least:g} is no width; give channels, or a share")
        if self.round_to < 1:
            raise TargetError(f"--round-to {self.round_to} is no multiple; give 1 or more")

    def kept(self, group: Group, wanted: int) -> int:
        """Return how many units of a group stay if `wanted` would like to: never fewer."""
        whole, per_unit = len(group.units), group.positions_per_unit
        least = self.keep_at_least * whole if self.keep_at_least < 1 else self.keep_at_least / per_unit
        step = self.round_to // np.gcd(self.round_to, per_unit)  # in units
        return int(min(whole, -(-max(wanted, np.ceil(least - 1e-9), 1) // step) * step))


def allocate(
    plan: Plan,
    scores: Scores,
    *,
    target: str | Target | Sequence[str | Target],
    ranking: Ranking = "global",
    keep_at_least: float = 1,
    round_to: int = 1,
) -> LevelArray:
    """Return the level of every unit, uint8 [units]: 0 is in the smallest network, the highest only in the whole one.

    `scores` [units]: what is lost with each unit; `target`: one for each level, in any order. The cost of a level
    never exceeds its target, and as many units stay as fit under it. Equal scores leave in the order of unit numbers.

    Raises TargetError, before any work, if a target can't be reached, naming the least that can; PlanMismatch if
    scores are not one for each unit; InvalidWeights if a score is not a number.
    """
    bounds, order, costs = Bounds(keep_at_least, round_to), rank(plan, scores, ranking), CostModel(plan)
    wanted = [target] if isinstance(target, str | Target) else target
    targets = _smallest_first(costs, bounds, order, [parse_target(t) if isinstance(t, str) else t for t in wanted])
    # The loosest target first; each tighter one chooses among the units that the one before kept, so levels nest.
    levels = np.full(plan.units, len(targets), np.uint8)
    for level in reversed(range(len(targets))):
        inside = order[levels[order] == level + 1]
        levels[_choose(costs, bounds, inside, targets[level])] = level
    return levels


def smallest_first(
    plan: Plan,
    scores: Scores,
    targets: Sequence[Target],
    *,
    ranking: Ranking = "global",
    keep_at_least: float = 1,
    round_to: int = 1,
) -> tuple[Target, ...]:
    """Return the targets in the order of the levels that `allocate` makes of them: by MACs, each taken alone.

    Raises what `allocate` raises.
    """
    return _smallest_first(CostModel(plan), Bounds(keep_at_least, round_to), rank(plan, scores, ranking), targets)


def least_cost(plan: Plan, *, keep_at_least: float = 1, round_to: int = 1) -> Cost:
    """Return the cost of the smallest network that the bounds allow."""
    return CostModel(plan).cost(_least(plan, Bounds(keep_at_least, round_to), np.arange(plan.units)))


def rank(plan: Plan, scores: Scores, ranking: Ranking) -> IntArray:
    """Return all units in the order in which they leave."""
    if ranking not in get_args(Ranking):
        raise UnknownName(f"unknown ranking {ranking!r}; known: {', '.join(get_args(Ranking))}")
    scores = np.asarray(scores, np.float64)
    if scores.shape != (plan.units,):
        raise PlanMismatch(f"scores of shape {list(scores.shape)} for a plan of {plan.units} units; give one each")
    if not np.isfinite(scores).all():
        unit = int(np.flatnonzero(~np.isfinite(scores))[0])
        group = plan.groups[plan.group_of_unit[unit]].name
        raise InvalidWeights(
            f"the score of unit {unit} in {group} is {scores[unit]}; check the weights and the criterion"
        )
    value = np.empty(plan.units)
    for group in plan.groups:
        own = scores[group.units]
        if ranking == "uniform":
            value[group.units[np.argsort(own, kind="stable")]] = (np.arange(len(own)) + 0.5) / len(own)
        else:
            value[group.units] = own / (np.abs(own).mean() or 1.0)
    return np.argsort(value, kind="stable")


def _smallest_first(costs: CostModel, bounds: Bounds, order: IntArray, targets: Sequence[Target]) -> tuple[Target, ...]:
    least = costs.cost(_least(costs.plan, bounds, order))
    for target in targets:
        target.check(least, costs.dense)
    if len(targets) < 2:
        return tuple(targets)
    macs = [costs.cost(_choose(costs, bounds, order, target)).macs for target in targets]
    return tuple(targets[i] for i in sorted(range(len(targets)), key=lambda i: macs[i]))


def _choose(costs: CostModel, bounds: Bounds, order: IntArray, target: Target) -> BoolArray:
    """Return which of the units in `order` stay, so that the target holds and nothing more fits."""
    low, high = 0, len(order)  # how many leave: the fewest for which the target holds
    while low < high:
        middle = (low + high) // 2
        if target.holds(costs.cost(_kept(costs.plan, bounds, order, middle)), costs.dense):
            high = middle
        else:
            low = middle + 1
    stays = _kept(costs.plan, bounds, order, low)
    return _fill(costs, bounds, order, target, stays)


def _kept(plan: Plan, bounds: Bounds, order: IntArray, leaving: int) -> BoolArray:
    """Return which units stay when the first `leaving` would like to go and the bounds are kept."""
    stays = np.zeros(plan.units, np.bool_)
    stays[order[leaving:]] = True
    wanted = np.bincount(plan.group_of_unit[order[leaving:]], minlength=len(plan.groups))
    missing = np.array([bounds.kept(g, int(w)) - int(w) for g, w in zip(plan.groups, wanted, strict=True)])
    for unit in order[:leaving][::-1]:  # the best of those that would go come back first
        group = plan.group_of_unit[unit]
        if missing[group] > 0:
            missing[group] -= 1
            stays[unit] = True
    return stays


def _fill(costs: CostModel, bounds: Bounds, order: IntArray, target: Target, stays: BoolArray) -> BoolArray:
    """Return `stays` with units added, best first, a step of their group at a time, wherever the target still holds."""
    full: set[int] = set()
    by_group: dict[int, list[int]] = {}
    for unit in order[::-1]:
        if not stays[unit]:
            by_group.setdefault(int(costs.plan.group_of_unit[unit]), []).append(int(unit))
    for unit in order[::-1]:
        number = int(costs.plan.group_of_unit[unit])
        if stays[unit] or number in full:
            continue
        group = costs.plan.groups[number]
        now = int(stays[group.units].sum())
        more = [u for u in by_group[number] if not stays[u]][: bounds.kept(group, now + 1) - now]
        trial = stays.copy()
        trial[more] = True
        if more and target.holds(costs.cost(trial), costs.dense):
            stays = trial
        else:
            full.add(number)
    return stays


def _least(plan: Plan, bounds: Bounds, order: IntArray) -> BoolArray:
    return _kept(plan, bounds, order, len(order))
