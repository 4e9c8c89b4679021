"""Aims: what gates are to come to, from targets such as `macs=60%`, or from fixed strengths of a price."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from elastic.allocation import least_cost
from elastic.costs import CostModel
from elastic.errors import TargetError, UnknownName
from elastic.gates.channels.latency import LatencyPrice, LatencyTable
from elastic.gates.channels.price import Price
from elastic.plan import Plan
from elastic.targets import QUANTITIES, Target, parse_target

LATENCY = "latency"


class Pricing(Protocol):
    """What a network with gates costs."""

    @property
    def quantity(self) -> str:
        """What is counted."""

    def __call__(self, gates: Tensor) -> Tensor:
        """Return the share of the dense cost that gates [units] leave, a scalar."""


@dataclass(frozen=True)
class Aim:
    """A share of the dense cost, or, without one, what a fixed strength of the price makes of it."""

    name: str
    share: float | None = None
    strength: float = 0.0
    target: Target | None = None  # where costs are counted


def aims_of(
    plan: Plan,
    targets: Sequence[str],
    strengths: Sequence[float],
    price: str,
    table: LatencyTable | None,
    bounds: Mapping[str, Any],
) -> tuple[Pricing, list[Aim]]:
    """Return the price and the aims, from the largest network to the smallest.

    Raises UnknownName if it isn't clear what to aim at, TargetError for a target that can't be, and what prices raise.
    """
    if bool(targets) is bool(strengths):
        what = "both were" if targets else "neither was"
        raise UnknownName(f"gates need targets, as in macs=60%, or strengths of the price, as in 0.5; {what} given")
    if strengths:
        if bad := [each for each in strengths if not 0 <= each < np.inf]:
            raise UnknownName(f"strength {bad[0]:g} is no price; give 0 or more")
        return _price(plan, price, table), [Aim(f"strength={each:g}", strength=each) for each in sorted(set(strengths))]
    if table is not None:
        aims = [Aim(text, _share_of_latency(text)) for text in targets]
        paid = _price(plan, LATENCY, table)
    else:
        parsed = [parse_target(text) for text in targets]
        aims, quantities = [_counted(plan, each, bounds) for each in parsed], {t.limits[0].quantity for t in parsed}
        if len(quantities) > 1:
            raise TargetError(f"targets of {' and '.join(sorted(quantities))}: gates have one price; limit one of them")
        paid = _price(plan, quantities.pop(), None)
    shares = [aim.share for aim in aims]
    if len(set(shares)) < len(shares):
        raise TargetError(f"targets {', '.join(targets)} ask for the same twice; say each once")
    return paid, sorted(aims, key=lambda aim: -(aim.share or 0.0))


def _price(plan: Plan, quantity: str, table: LatencyTable | None) -> Pricing:
    if quantity == LATENCY or table is not None:
        if table is None:
            raise UnknownName("a price of latency needs a table of the layers' times; give one")
        return LatencyPrice(plan, table)
    return Price(plan, quantity)  # type: ignore[arg-type]


def _counted(plan: Plan, target: Target, bounds: Mapping[str, Any]) -> Aim:
    if len(target.limits) > 1:
        raise TargetError(f"target {target} has {len(target.limits)} limits; gates have one price, so give one")
    dense, limit = CostModel(plan).dense, target.limits[0]
    share = limit.of(dense) / dense[limit.quantity]
    target.check(least_cost(plan, **bounds), dense)
    if share >= 1:
        raise TargetError(f"target {target} is no less than the whole network; give less")
    return Aim(str(target), share, target=target)


def _share_of_latency(text: str) -> float:
    quantity, _, value = text.partition("=")
    try:
        share = float(value.strip().rstrip("%")) / 100
    except ValueError:
        share = 0.0
    if quantity.strip() != LATENCY or not value.strip().endswith("%") or not 0 < share < 1:
        known = ", ".join(QUANTITIES)
        raise TargetError(
            f"can't read the target {text!r} with a table of times; write latency=60%, or leave out the table for one "
            f"of {known}"
        )
    return share
