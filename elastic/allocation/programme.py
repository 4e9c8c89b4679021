"""Programme: the widths for which the scores that leave are least, by integer programmes.

Of each group one width is chosen among several. What a target limits is a sum of products of widths, so it is taken
apart around the widths at hand: what each group's change alone would cost, exactly, the stairs of a latency table too.
That is a multiple-choice knapsack (Sinha, Zoltners, "The Multiple-Choice Knapsack Problem", 1979), which
`scipy.optimize.milp` solves; its solution is the next point, within reach of which the sum holds well enough. It begins
with the greedy order's widths, so it is never worse than those. Memory is the greatest of several sums, each a limit;
with a target of time it may not have so few MACs that a uniform cut is as fast, unless the greedy order has.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from elastic.allocation.bounds import Bounds, Room
from elastic.allocation.choosing import checked, in_order, parsed
from elastic.allocation.efficiency import least_macs
from elastic.allocation.ordering import Normalisation, Scores, normalised
from elastic.allocation.products import FloatArray
from elastic.allocation.rules import Rules
from elastic.allocation.scopes import Scope
from elastic.allocation.searching import Search
from elastic.allocation.sums import Timing
from elastic.plan import BoolArray, IntArray, LevelArray, Plan
from elastic.targets import Limited, Target

CHOICES = 16  # widths of a group in one programme
REACH = 0.5  # of a group's width that it may change by at first
SHORTEST = 0.02  # reach at which the search ends
SECONDS = 5.0  # for one programme; HiGHS then gives the best that it has
GAP = 5e-3  # of what is lost, within which a programme is solved: a fifth of the time, and nearly the same in the end


def allocate_by_programme(
    plan: Plan,
    scores: Scores,
    *,
    target: str | Target | Sequence[str | Target],
    normalisation: Normalisation = "mean",
    scope: Scope = "global",
    per: Limited | None = None,
    keep_at_least: float = 1,
    round_to: int = 1,
    latency_table: Timing | None = None,
    efficiency: float = 1.0,
    is_ordered: bool = False,
) -> LevelArray:
    """Return the level of every unit as `allocate` does, with the widths for which the scores that leave sum to least.

    Within a group units leave by score. `scope` and `per` are those of the widths that it begins with.

    Raises what `allocate` raises.
    """
    rules = Rules(normalisation, scope, per, Bounds(keep_at_least, round_to), latency_table, efficiency)
    targets = parsed(target)
    search = checked(plan, scores, rules, targets)
    lost = _lost(plan, search, normalised(plan, scores, normalisation))
    most, widths = search.room.most, list[IntArray]()
    largest_first = (targets if is_ordered else in_order(search, targets))[::-1]
    for limits, least in zip(largest_first, least_macs(plan, scores, rules, largest_first), strict=True):
        begin = search.choose(limits, most)
        macs = min(search.macs(begin), int(least))
        most = _Programme(search, lost, limits, search.room.within(most), macs).solved(begin)
        widths.append(most)
    return search.levels(widths[::-1])


def _lost(plan: Plan, search: Search, value: FloatArray) -> FloatArray:
    """Return the score that a group has lost when so many of its units stay, [groups, most + 1]."""
    found = np.zeros((len(plan.groups), 1 + max(len(group.units) for group in plan.groups)))
    for row, group in zip(found, plan.groups, strict=True):
        kept = np.zeros(len(group.units))
        kept[search.depth[group.units]] = value[group.units]
        row[: len(kept)] = kept[::-1].cumsum()[::-1]
    return found


@dataclass(frozen=True, eq=False)
class _Programme:
    search: Search
    lost: FloatArray
    target: Target
    room: Room
    macs: int  # at least, 0 for any

    def loss(self, widths: IntArray) -> float:
        return float(self.lost[np.arange(len(widths)), widths].sum())

    def solved(self, widths: IntArray) -> IntArray:
        """Return widths that keep the target with less lost than these, which keep it, or these."""
        reach, best = REACH, widths
        while reach >= SHORTEST:
            found = self._next(best, reach)
            if found is None or self.loss(found) >= self.loss(best) * (1 - 1e-9):
                reach /= 2
            else:
                best = found
        return best

    def _next(self, widths: IntArray, reach: float) -> IntArray | None:
        """Return the widths that the programme around these chooses, made to keep the target; None if it can't."""
        choices = [self._choices(group, int(width), reach) for group, width in enumerate(widths)]
        costs = self._costs(widths, choices)
        most, now = self._most(), self._moments(widths)
        binds = now + sum(np.maximum(part, 0).max(1) for part in costs) > most  # the others hold whatever is chosen
        binds[binds] = _highest((now - most)[binds], [part[binds] for part in costs])
        rows, room = np.concatenate(costs, axis=1)[binds], (most - now)[binds]
        losses = np.concatenate([self.lost[group, each] for group, each in enumerate(choices)])
        for _ in range(3):
            chosen = _chosen(losses, [len(each) for each in choices], rows, room)
            if chosen is None:
                return None
            found = np.array([each[place] for each, place in zip(choices, chosen, strict=True)], np.int64)
            if self.search.holds(self.target, found) and self.search.macs(found) >= self.macs:
                return self.search.fill(self.target, self.room, found)
            room = room - np.maximum(self._moments(found) - most, 0)[binds]  # by what the sum was off
        return None

    def _choices(self, group: int, width: int, reach: float) -> IntArray:
        least, most = int(self.room.least[group]), int(self.room.most[group])
        whole = self.lost.shape[1] if most <= 0 else most
        low, high = max(least, int(width - reach * whole)), min(most, int(np.ceil(width + reach * whole)))
        step = int(self.room.step[group])
        grid = np.unique(-(-np.linspace(low, high, CHOICES).astype(np.int64) // step) * step)
        near = np.array([width - step, width, width + step])
        found: IntArray = np.unique(np.concatenate([np.clip(np.concatenate([grid, near]), low, high), [width]]))
        allowed = (found % step == 0) | (found == most) | (found == width)
        kept: IntArray = found[allowed & (found >= least)]
        return kept

    def _costs(self, widths: IntArray, choices: Sequence[IntArray]) -> list[FloatArray]:
        """Return what each choice alone would add to each number that is limited, of each group [numbers, choices]."""
        now, found = self._moments(widths), []
        for group, each in enumerate(choices):
            others = np.repeat(widths[None], len(each), axis=0)
            others[:, group] = each
            found.append(np.stack([self._moments(other) - now for other in others], axis=1))
        return found

    def _moments(self, widths: IntArray) -> FloatArray:
        """Return the numbers that are limited: of memory one for each output, of others the cost; last, -MACs."""
        found = [self.search.moments(limit.quantity, widths) for limit in self.target.limits]
        least = [[-self.search.macs(widths)]] if self.macs else []
        return np.concatenate([*found, *least]).astype(np.float64)

    def _most(self) -> FloatArray:
        """Return how much each of these numbers may be."""
        dense, whole = self.search.costs.dense, self.search.room.most
        counts = [len(self.search.moments(limit.quantity, whole)) for limit in self.target.limits]
        limits = [float(limit.of(dense)) for limit in self.target.limits]
        return np.concatenate([np.repeat(limits, counts), [-float(self.macs)] if self.macs else []])


def _highest(over_most: FloatArray, costs: Sequence[FloatArray]) -> BoolArray:
    """Return which numbers can be further over their limit than every other one, [numbers]; of equal ones the first."""
    over = over_most[:, None] - over_most  # by how much the first of two may be further over than the second, at most
    for part in costs:  # [numbers, choices] of each group
        over += (part[:, None] - part).max(2)
    numbers = np.arange(len(over_most))
    is_below = np.logical_and(over <= 0, np.logical_or(over.T > 0, numbers[:, None] > numbers))
    found: BoolArray = is_below.sum(1) == 0
    return found


def _chosen(losses: FloatArray, counts: Sequence[int], costs: FloatArray, room: FloatArray) -> list[int] | None:
    """Return the place of the choice of each group with which least is lost, None if no choice fits."""
    from scipy.optimize import Bounds as Box
    from scipy.optimize import LinearConstraint, milp
    from scipy.sparse import csr_array, vstack

    groups, total = np.repeat(np.arange(len(counts)), counts), int(sum(counts))
    one_each = csr_array((np.ones(total), (groups, np.arange(total))), shape=(len(counts), total))
    scale = np.maximum(1.0, np.abs(costs).max(1))
    limits, most = csr_array(costs / scale[:, None]), room / scale
    told = milp(
        losses / max(float(np.abs(losses).max()), 1e-30),
        integrality=np.ones(total),
        bounds=Box(0, 1),
        constraints=LinearConstraint(
            vstack([one_each, limits]),
            np.concatenate([np.ones(len(counts)), np.full(len(most), -np.inf)]),
            np.concatenate([np.ones(len(counts)), most]),
        ),
        # HiGHS prints where presolving made a solution infeasible, whatever it is told; one line a group needs none.
        options={"time_limit": SECONDS, "mip_rel_gap": GAP, "presolve": False},
    )
    if told.x is None:
        return None
    begins = np.cumsum([0, *counts[:-1]])
    return [int(told.x[begin : begin + count].argmax()) for begin, count in zip(begins, counts, strict=True)]
