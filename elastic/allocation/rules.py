"""Rules: what the options of `allocate` say, and the search that they ask for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from elastic.allocation.bounds import Bounds
from elastic.allocation.ordering import Normalisation, Scores, by_saving, by_value, normalised
from elastic.allocation.products import FloatArray
from elastic.allocation.scopes import Scope, check_scope, class_of_group, fixed_widths
from elastic.allocation.searching import Search
from elastic.allocation.steps import in_steps
from elastic.allocation.sums import Sums, Timing
from elastic.errors import UnknownName
from elastic.plan import BoolArray, Plan
from elastic.targets import LATENCY, LIMITED, Limited


@dataclass(frozen=True)
class Rules:
    """What the options of `allocate` say, checked as far as that goes without a plan."""

    normalisation: Normalisation = "mean"
    scope: Scope | Mapping[str, float] = "global"
    per: Limited | None = None
    bounds: Bounds = field(default_factory=Bounds)
    latency_table: Timing | None = None
    efficiency: float = 1.0  # with a target of time: the least MACs, in those of a uniform cut to that time

    def __post_init__(self) -> None:
        check_scope(self.scope)
        if self.per is not None and self.per not in LIMITED:
            raise UnknownName(f"unknown per={self.per!r}; known: {', '.join(LIMITED)}, or none")


def search_of(plan: Plan, scores: Scores, rules: Rules, *, power: float = 0.0) -> Search:
    """Return the search that the rules ask for.

    Units are worth more in the order of leaving the more MACs they have for the time that they take, that ratio to that
    power, where there is a latency table.
    """
    value, sums = normalised(plan, scores, rules.normalisation), Sums(plan, rules.latency_table)
    room = in_steps(rules.bounds.room(plan, fixed_widths(plan, rules.scope, rules.bounds)), sums)
    classes = class_of_group(plan, rules.scope)[plan.group_of_unit]
    order = by_value(value, classes)
    if rules.per or power:
        savings = _savings(sums, rules.per, power)
        pace = np.inf if rules.per is None or power else sums.pace(rules.per)
        order = by_saving(plan, order, value, classes, room, savings, pace)
    return Search(sums.costs(), sums, order, room)


def _savings(sums: Sums, per: Limited | None, power: float) -> Callable[[BoolArray], FloatArray]:
    def savings(stays: BoolArray) -> FloatArray:
        saved = np.ones(len(stays)) if per is None else sums.savings(per, stays)
        if not power:
            return saved
        times, macs = sums.savings(LATENCY, stays), sums.savings("macs", stays)
        # A unit without MACs counts as one: what saves infinitely much could not be added up.
        found: FloatArray = saved * (times / np.maximum(macs, 1)) ** power
        return found

    return savings
