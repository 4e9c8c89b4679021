"""Choosing: from scores and targets to a level for every unit.

Every allocation is one order in which units leave, least first, until the cost keeps the target. The options decide
the order and the widths that are allowed, each by itself, and mean the same for every criterion: docs/allocation.md.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from elastic.allocation.bounds import Bounds, Room
from elastic.allocation.efficiency import efficient
from elastic.allocation.ordering import Normalisation, Scores
from elastic.allocation.rules import Rules, search_of
from elastic.allocation.scopes import Scope
from elastic.allocation.searching import Search
from elastic.allocation.steps import in_steps
from elastic.allocation.sums import Sums, Timing
from elastic.costs import Cost
from elastic.errors import TargetError
from elastic.plan import IntArray, LevelArray, Plan
from elastic.targets import Limited, Target, parse_target


def allocate(
    plan: Plan,
    scores: Scores,
    *,
    target: str | Target | Sequence[str | Target],
    normalisation: Normalisation = "mean",
    scope: Scope | Mapping[str, float] = "global",
    per: Limited | None = None,
    keep_at_least: float = 1,
    round_to: int = 1,
    latency_table: Timing | None = None,
    efficiency: float = 1.0,
    is_ordered: bool = False,
) -> LevelArray:
    """Return the level of every unit, uint8 [units]: 0 is in the smallest network, the highest only in the whole one.

    `scores` [units]: what is lost with each unit; `target`: one for each level, in any order, or with `is_ordered` in
    that of the levels, smallest first. The cost of a level never exceeds its target, and as many units stay as fit
    under it. Equal scores leave in the order of unit numbers.

    `normalisation` divides the scores of each group by their mean or maximum, or takes their z-scores. `scope` says
    which units compete: all, those of one group, those of groups of one structure; or it maps patterns of group names
    to the share that is removed of these groups, at every level. `per` ranks by score lost per unit of cost saved.
    `latency_table` is a table of this device (`elastic.latency`), which counts targets such as `latency=60%` and
    `per="latency"`; widths are then multiples of what it shows to be fast, where a group has room for some. With a
    target of time units leave in such an order that the network has `efficiency` times the MACs of a uniform cut to
    that time, or nearly as many as with any; 0 for scores alone.

    Raises TargetError, before any work, if a target can't be reached, naming the least that can; UnknownName if an
    option or a pattern is of nothing; PlanMismatch if scores are not one for each unit; InvalidWeights if a score is
    not a number.
    """
    rules = Rules(normalisation, scope, per, Bounds(keep_at_least, round_to), latency_table, efficiency)
    targets = parsed(target)
    search = checked(plan, scores, rules, targets)
    return nested(search, targets if is_ordered else in_order(search, targets))


def smallest_first(
    plan: Plan,
    scores: Scores,
    targets: Sequence[Target],
    *,
    normalisation: Normalisation = "mean",
    scope: Scope | Mapping[str, float] = "global",
    per: Limited | None = None,
    keep_at_least: float = 1,
    round_to: int = 1,
    latency_table: Timing | None = None,
    efficiency: float = 1.0,
) -> tuple[Target, ...]:
    """Return the targets in the order of the levels that `allocate` makes of them: by MACs, each taken alone.

    Raises what `allocate` raises.
    """
    rules = Rules(normalisation, scope, per, Bounds(keep_at_least, round_to), latency_table, efficiency)
    return in_order(checked(plan, scores, rules, targets), targets)


def least_cost(plan: Plan, *, keep_at_least: float = 1, round_to: int = 1, latency_table: Timing | None = None) -> Cost:
    """Return the cost of the smallest network that the bounds allow; its time too, where there is a table."""
    sums = Sums(plan, latency_table)
    room = in_steps(Bounds(keep_at_least, round_to).room(plan), sums)
    return Search(sums.costs(), sums, np.arange(plan.units), room).cost(room.least)


def rank(
    plan: Plan,
    scores: Scores,
    *,
    normalisation: Normalisation = "mean",
    scope: Scope | Mapping[str, float] = "global",
    per: Limited | None = None,
    keep_at_least: float = 1,
    round_to: int = 1,
    latency_table: Timing | None = None,
) -> IntArray:
    """Return all units in the order in which they leave."""
    rules = Rules(normalisation, scope, per, Bounds(keep_at_least, round_to), latency_table)
    return search_of(plan, scores, rules).order


def parsed(target: str | Target | Sequence[str | Target]) -> list[Target]:
    """Return targets that are given as one or several, as text or parsed."""
    wanted = [target] if isinstance(target, str | Target) else target
    return [parse_target(t) if isinstance(t, str) else t for t in wanted]


def check_targets(search: Search, targets: Sequence[Target], unfixed: Room, held_by: str) -> None:
    """Raise TargetError if a target can't be reached, naming what is in its way where the bounds alone are not."""
    least, free, dense = search.cost(search.room.least), search.cost(unfixed.least), search.costs.dense
    for target in targets:
        if target.holds(free, dense) and not target.holds(least, dense):
            limit = next(limit for limit in target.limits if least[limit.quantity] > limit.of(dense))
            held, other = (cost[limit.quantity] / dense[limit.quantity] for cost in (least, free))
            raise TargetError(
                f"target {limit} cannot be reached with {held_by}: the least that is left is {held:.1%}, "
                f"without them {other:.1%}; raise the target, or let more leave"
            )
        target.check(least, dense)


def in_order(search: Search, targets: Sequence[Target]) -> tuple[Target, ...]:
    """Return targets by the MACs of the network that each chooses alone."""
    if len(targets) < 2:
        return tuple(targets)
    macs = [search.macs(search.choose(target, search.room.most)) for target in targets]
    return tuple(targets[i] for i in sorted(range(len(targets)), key=lambda i: macs[i]))


def nested(search: Search, smallest_first: Sequence[Target]) -> LevelArray:
    """Return levels of one order, [units]: the last target first, each before it within what that kept."""
    most, widths = search.room.most, list[IntArray]()
    for target in reversed(smallest_first):
        most = search.choose(target, most)
        widths.append(most)
    return search.levels(widths[::-1])


def checked(plan: Plan, scores: Scores, rules: Rules, targets: Sequence[Target]) -> Search:
    """Return the search by which targets are chosen. Raises TargetError if one can't be reached."""
    search = search_of(plan, scores, rules)
    check_targets(search, targets, rules.bounds.room(plan), "these shares by name")
    return efficient(plan, scores, rules, search, targets)
