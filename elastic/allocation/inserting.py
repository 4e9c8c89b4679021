"""Inserting: a level between two that are there, in the order in which units of the larger one would leave."""

from collections.abc import Mapping

import numpy as np

from elastic.allocation.bounds import Bounds, Room
from elastic.allocation.choosing import rank
from elastic.allocation.ordering import Normalisation, Scores
from elastic.allocation.scopes import Scope
from elastic.allocation.searching import Search
from elastic.allocation.sums import Sums
from elastic.costs import CostModel
from elastic.errors import TargetError
from elastic.plan import LevelArray, Plan
from elastic.targets import Quantity, Target


def insert_level(
    plan: Plan,
    scores: Scores,
    levels: LevelArray,
    target: Target,
    *,
    normalisation: Normalisation = "mean",
    scope: Scope | Mapping[str, float] = "global",
    per: Quantity | None = None,
    round_to: int = 1,
) -> tuple[LevelArray, int]:
    """Return levels [units] with that of a target among them, and its number.

    The new level has all units of the largest level that keeps the target, and of those that the next one adds as many
    as fit, in the order that the options give (`allocate`). Where none fits it is that level, and none is added.

    Raises TargetError if no level keeps the target, and what `rank` raises.
    """
    costs = CostModel(plan)
    last = int(levels.max(initial=0))
    keeping = [level for level in range(last + 1) if target.holds(costs.cost(levels <= level), costs.dense)]
    if not keeping:
        smallest = costs.cost(levels == 0)
        what = next(limit.quantity for limit in target.limits if smallest[limit.quantity] > limit.of(costs.dense))
        raise TargetError(
            f"no level keeps {target}: the smallest has {smallest[what] / costs.dense[what]:.1%} "
            f"({smallest[what]:,}); ask for more, or prune the network again to a smaller level"
        )
    lower = keeping[-1]
    if lower == last:
        return levels, last
    order = rank(plan, scores, normalisation=normalisation, scope=scope, per=per)
    order = order[np.argsort(-levels[order].astype(np.int64), kind="stable")]  # larger levels leave first
    least, most = (
        np.bincount(plan.group_of_unit[levels <= level], minlength=len(plan.groups)) for level in (lower, lower + 1)
    )
    step = Bounds(round_to=round_to).room(plan).step
    search = Search(costs, Sums(plan), order, Room(least, most, step))
    stays = search.stays(search.choose(target, most))
    if not (stays & (levels > lower)).any():
        return levels, lower
    return np.where(stays, levels, levels + 1).astype(np.uint8), lower + 1
