"""Curves: the widths for which the sum of measured losses is least under a target.

Each group has its loss at several widths, and between them the greatest convex curve below that never rises with the
width. Were cost a sum over groups, units would leave by loss for saving, all at one price: Everett, "Generalized
Lagrange Multiplier Method", 1963, exact on convex curves but for the last unit. Cost is a sum of products, so savings
are taken at the widths that the last prices led to, again and again; each time the exact cost decides how many leave.
The best widths found are improved by exchanges between two groups.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from elastic.allocation.bounds import Bounds, Room
from elastic.allocation.choosing import check_targets, in_order, parsed
from elastic.allocation.ordering import Scores, by_saving, check_scores, depth_within_groups
from elastic.allocation.products import FloatArray
from elastic.allocation.searching import Search
from elastic.allocation.steps import in_steps
from elastic.allocation.sums import Sums, Timing
from elastic.errors import InvalidWeights, PlanMismatch
from elastic.plan import BoolArray, Group, IntArray, LevelArray, Plan
from elastic.targets import Target

Curve = Mapping[int, float]  # units kept -> loss of the network
PRICES = 5  # rounds of prices; they settle or swing within a few
EXCHANGES = 100  # tried for one target at most
TRIES = 15  # of the best exchanges at some widths, before giving up


def allocate_by_curves(
    plan: Plan,
    curves: Sequence[Curve],
    scores: Scores,
    *,
    target: str | Target | Sequence[str | Target],
    keep_at_least: float = 1,
    round_to: int = 1,
    latency_table: Timing | None = None,
    is_ordered: bool = False,
) -> LevelArray:
    """Return the level of every unit as `allocate` does, with the widths for which the sum of losses is least.

    `curves`: one for each of `plan.groups`, with the whole width and any others; no group becomes narrower than the
    narrowest of its own. `latency_table` and `is_ordered` as in `allocate`. Within a group units leave by `scores`
    [units]. The sum is that of the convex curves; the least is found nearly, not surely (docs/allocation.md).

    Raises PlanMismatch if curves or scores are not those of the plan, otherwise what `allocate` raises.
    """
    problem, unfixed = _problem(plan, curves, scores, Bounds(keep_at_least, round_to), latency_table)
    targets = parsed(target)
    check_targets(problem.search, targets, unfixed, "the widths that the curves measure")
    most, widths = problem.search.room.most, list[IntArray]()
    for limits in reversed(targets if is_ordered else in_order(problem.search, targets)):
        most = _solve(problem, limits, most)
        widths.append(most)
    return problem.search.levels(widths[::-1])


def smallest_first_by_curves(
    plan: Plan,
    curves: Sequence[Curve],
    scores: Scores,
    targets: Sequence[Target],
    *,
    keep_at_least: float = 1,
    round_to: int = 1,
    latency_table: Timing | None = None,
) -> tuple[Target, ...]:
    """Return the targets in the order of the levels that `allocate_by_curves` makes of them.

    Raises what `allocate_by_curves` raises.
    """
    problem, unfixed = _problem(plan, curves, scores, Bounds(keep_at_least, round_to), latency_table)
    check_targets(problem.search, targets, unfixed, "the widths that the curves measure")
    return in_order(problem.search, targets)


@dataclass(frozen=True, eq=False)
class Problem:
    """What is to be solved for each target. Units leave a group in the order of `search` in every solution."""

    plan: Plan
    table: FloatArray  # loss of each group by the number of units kept, [groups, most + 1]
    value: FloatArray  # what is lost with each unit, [units]
    search: Search  # by value alone

    def loss(self, widths: IntArray) -> float:
        """Return the sum of losses at these widths."""
        return float(self.table[np.arange(len(widths)), widths].sum())

    def slack(self, target: Target, widths: IntArray) -> float:
        """Return what is left under the target's limits, in shares of them."""
        cost, dense = self.search.cost(widths), self.search.costs.dense
        return sum(1 - cost[limit.quantity] / limit.of(dense) for limit in target.limits)

    def pace(self, target: Target) -> float:
        """Return how much units may save, in the same shares as `savings`, before savings have to be found anew."""
        sums, dense = self.search.sums, self.search.costs.dense
        return min(sums.pace(limit.quantity) / limit.of(dense) for limit in target.limits)

    def savings(self, target: Target, stays: BoolArray) -> FloatArray:
        """Return what a unit saves, in shares of what the target's limits allow, alike in a group, [units]."""
        dense, groups = self.search.costs.dense, self.plan.group_of_unit
        saved = np.zeros(self.plan.units)
        for limit in target.limits:
            saved += self.search.sums.savings(limit.quantity, stays) / limit.of(dense)
        return (np.bincount(groups, saved) / np.bincount(groups))[groups]


def convex(curve: Curve) -> FloatArray:
    """Return the greatest convex curve that is nowhere above the given one and never rises, [whole width + 1].

    Below the narrowest width given it is as there.
    """
    hull: list[tuple[int, float]] = []
    for width, loss in sorted(curve.items()):
        while len(hull) > 1 and _slope(hull[-2], hull[-1]) >= _slope(hull[-1], (width, loss)):
            hull.pop()
        hull.append((width, loss))
    widths, losses = (np.array(column) for column in zip(*hull, strict=True))
    at = np.arange(widths[-1] + 1)
    found: FloatArray = np.interp(at, widths, losses)
    return np.minimum.accumulate(found)


def _slope(left: tuple[int, float], right: tuple[int, float]) -> float:
    return (right[1] - left[1]) / (right[0] - left[0])


def _problem(
    plan: Plan, curves: Sequence[Curve], scores: Scores, bounds: Bounds, latency_table: Timing | None
) -> tuple[Problem, Room]:
    if len(curves) != len(plan.groups):
        raise PlanMismatch(f"{len(curves)} curves for a plan of {len(plan.groups)} groups; give one each, in order")
    for group, curve in zip(plan.groups, curves, strict=True):
        _check(group, curve)
    table = np.zeros((len(curves), 1 + max(len(group.units) for group in plan.groups)))
    for row, curve in zip(table, curves, strict=True):
        row[: 1 + max(curve)] = convex(curve)
    unbound = bounds.room(plan)
    narrowest = [bounds.kept(group, min(curve)) for group, curve in zip(plan.groups, curves, strict=True)]
    room = Room(np.array(narrowest, np.int64), unbound.most, unbound.step)
    first = np.argsort(check_scores(plan, scores), kind="stable")
    depth, value = depth_within_groups(plan, first), np.empty(plan.units)
    for group, row, curve in zip(plan.groups, table, curves, strict=True):
        lost = row[:-1] - row[1:]
        lost[: min(curve)] = np.inf  # never asked: the bounds hold them
        # Never more for a wider group, in floats too, so that units leave by their scores on a straight piece.
        value[group.units] = np.minimum.accumulate(lost)[depth[group.units]]
    order = np.lexsort((np.argsort(first), value))
    sums = Sums(plan, latency_table)
    return Problem(plan, table, value, Search(sums.costs(), sums, order, in_steps(room, sums))), unbound


def _check(group: Group, curve: Curve) -> None:
    whole = len(group.units)
    if whole not in curve:
        raise PlanMismatch(f"the curve of {group.name} has no loss at its whole width of {whole} units; measure it too")
    for width, loss in curve.items():
        if not 0 <= width <= whole:
            raise PlanMismatch(f"the curve of {group.name} has a loss at {width} units; the group has {whole}")
        if not np.isfinite(loss):
            raise InvalidWeights(f"the loss of {group.name} at {width} units is {loss}; leave that width out")


def _solve(problem: Problem, target: Target, most: IntArray) -> IntArray:
    """Return widths of at most `most` that keep the target, with nearly the least loss."""
    plan, first, room = problem.plan, problem.search.order, problem.search.room.within(most)
    classes = np.zeros(plan.units, np.int64)
    order = by_saving(
        plan, first, problem.value, classes, room, lambda stays: problem.savings(target, stays), problem.pace(target)
    )
    best = widths = replace(problem.search, order=order).choose(target, most)
    place, saved = np.argsort(first), None
    for _ in range(PRICES):
        now = problem.savings(target, problem.search.stays(widths))
        saved = now if saved is None else (saved + now) / 2  # two groups that swing meet halfway
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(saved > 0, problem.value / saved, np.inf)
        order = np.lexsort((place, -saved, ratio))
        widths = replace(problem.search, order=order).choose(target, most)
        best = min(best, widths, key=problem.loss)
    return _exchanged(problem, target, room, best)


def _exchanged(problem: Problem, target: Target, room: Room, widths: IntArray) -> IntArray:
    """Return widths improved by exchanges between two groups: steps of one for what then fits of another."""
    found, tried = widths, 0
    while tried < EXCHANGES:
        for exchange in _exchanges(problem, target, room, found)[:TRIES]:
            tried += 1
            trial = _exchange(problem, target, room, found, *exchange)
            if problem.loss(trial) < problem.loss(found):
                found = trial
                break
        else:
            break
    return found


def _exchanges(problem: Problem, target: Target, room: Room, widths: IntArray) -> list[tuple[int, int, int]]:
    """Return exchanges, what should gain most first: the group that gives, the width that it goes to, that which takes.

    What they gain is estimated, to first order in cost.
    """
    groups, table = np.arange(len(widths)), problem.table
    one_of_each = [group.units[0] for group in problem.plan.groups]
    saved = np.maximum(problem.savings(target, problem.search.stays(widths))[one_of_each], 1e-30)
    slack = problem.slack(target, widths)
    estimates = []
    for doublings in range(int(widths.max()).bit_length()):  # a giver gives 1, 2, 4, ... steps
        less = room.widths(widths - (room.step << doublings))
        fits = np.minimum((slack + saved * (widths - less))[:, None] / saved, room.most).astype(np.int64)
        more = np.minimum(widths + fits, room.most)  # [givers, takers]
        paid = table[groups, less] - table[groups, widths]
        net = paid[:, None] - (table[groups, widths] - table[groups, more])
        net[less == widths] = np.inf
        np.fill_diagonal(net, np.inf)
        for place in np.argsort(net, axis=None, kind="stable")[:TRIES].tolist():
            giver, taker = divmod(place, len(groups))
            estimates.append((float(net[giver, taker]), giver, int(less[giver]), taker))
    return [(giver, less, taker) for net, giver, less, taker in sorted(estimates)[:TRIES] if net < np.inf]


def _exchange(
    problem: Problem, target: Target, room: Room, widths: IntArray, giver: int, less: int, taker: int
) -> IntArray:
    found = widths.copy()
    found[giver] = less
    low, high = int(found[taker]), int(room.most[taker])  # what the taker may come to: the most for which it holds
    while low < high:
        more = found.copy()
        more[taker] = (low + high + 1) // 2
        if problem.search.holds(target, room.widths(more)):
            low = int(more[taker])
        else:
            high = int(more[taker]) - 1
    found[taker] = low
    return problem.search.fill(target, room, room.widths(found))
