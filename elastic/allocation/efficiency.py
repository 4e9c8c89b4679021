"""Efficiency: a network that is cut to a time has as many MACs as a uniform cut to that time.

Scores say what is lost, not whether a layer makes much of its time. A network of the least loss may then be slow for
its MACs, slower than the same share cut off every layer. Where a latency table predicts that, units are worth more the
more MACs they have for their time, by as little as it takes.
"""

from collections.abc import Sequence

import numpy as np

from elastic.allocation.ordering import Scores
from elastic.allocation.rules import Rules, search_of
from elastic.allocation.searching import Search
from elastic.plan import Plan
from elastic.targets import Target

POWERS = (0.5, 1.0, 2.0, 4.0, 8.0)  # of the MACs for the time of a unit
MARGIN = 1.05  # of the uniform cut's MACs: what there have to be, as a table predicts to some percent
NEARLY = 0.98  # of the most MACs by any power, where none comes to the margin: more cost score, and gain no time


def efficient(plan: Plan, scores: Scores, rules: Rules, search: Search, targets: Sequence[Target]) -> Search:
    """Return the search, or the first that is worth more MACs for its time and does not fall behind uniform cuts.

    Without targets of time, and where widths are set by name or are uniform, it is the search itself; if none keeps up,
    the first that comes as near as any, nearly.
    """
    timed = [target for target in targets if target.needs_latency]
    if not timed or rules.latency_table is None or rules.scope != "global":
        return search
    uniform = search_of(plan, scores, Rules(scope="uniform", bounds=rules.bounds, latency_table=rules.latency_table))
    wanted = np.array([_macs(uniform, target) for target in timed])
    tried = list[tuple[float, Search]]()
    for power in (0.0, *POWERS):
        found = search_of(plan, scores, rules, efficiency=power) if power else search
        share = float(np.min([_macs(found, target) for target in timed] / wanted))
        if share >= MARGIN:
            return found
        tried.append((share, found))
    most = max(share for share, _ in tried)
    return next(found for share, found in tried if share >= NEARLY * most)


def _macs(search: Search, target: Target) -> int:
    return search.macs(search.choose(target, search.room.most))
