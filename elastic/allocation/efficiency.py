"""Efficiency: a network that is cut to a time has as many MACs as a uniform cut to that time.

Scores say what is lost, not whether a layer makes much of its time. A network of the least loss may then be slow for
its MACs, slower than the same share cut off every layer. Where a latency table predicts that, units are worth more the
more MACs they have for their time, by as little as it takes.
"""

from collections.abc import Sequence

from elastic.allocation.ordering import Scores
from elastic.allocation.rules import Rules, search_of
from elastic.allocation.searching import Search
from elastic.plan import Plan
from elastic.targets import Target

POWERS = (0.5, 1.0, 2.0, 4.0, 8.0)  # of the MACs for the time of a unit
NEARLY = 0.98  # of the most MACs by any power, where none comes to what is wanted: more cost score, and gain no time


def efficient(plan: Plan, scores: Scores, rules: Rules, search: Search, targets: Sequence[Target]) -> Search:
    """Return the search, or the first that is worth more MACs for its time and does not fall behind uniform cuts.

    Without targets of time, and where widths are set by name or are uniform, it is the search itself; if none keeps up,
    the first that comes as near as any, nearly.
    """
    timed = [target for target in targets if target.needs_latency]
    wanted = least_macs(plan, scores, rules, timed)
    if not any(wanted):
        return search
    tried = list[tuple[float, Search]]()
    for power in (0.0, *POWERS):
        found = search_of(plan, scores, rules, power=power) if power else search
        share = min(_macs(found, target) / least for target, least in zip(timed, wanted, strict=True))
        if share >= 1:
            return found
        tried.append((share, found))
    most = max(share for share, _ in tried)
    return next(found for share, found in tried if share >= NEARLY * most)


def least_macs(plan: Plan, scores: Scores, rules: Rules, targets: Sequence[Target]) -> list[float]:
    """Return how many MACs there have to be in what is cut to each target: `efficiency` times those of a uniform cut.

    None for targets that limit no time, and where widths are set by name or are uniform.
    """
    is_asked = rules.scope == "global" and rules.efficiency and any(target.needs_latency for target in targets)
    if rules.latency_table is None or not is_asked:
        return [0.0] * len(targets)
    uniform = search_of(plan, scores, Rules(scope="uniform", bounds=rules.bounds, latency_table=rules.latency_table))
    return [rules.efficiency * _macs(uniform, target) if target.needs_latency else 0.0 for target in targets]


def _macs(search: Search, target: Target) -> int:
    return search.macs(search.choose(target, search.room.most))
