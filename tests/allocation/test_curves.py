"""Widths by measured losses: nearly the least sum under the target, against every choice of a small network."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from elastic.allocation import allocate_by_curves, smallest_first_by_curves
from elastic.allocation.curves import convex
from elastic.costs import CostModel
from elastic.errors import InvalidWeights, PlanMismatch, TargetError
from elastic.targets import parse_target
from elastic.tracing import trace
from tests.networks import residual
from tests.strategies import networks

CURVES = st.dictionaries(st.integers(0, 12), st.floats(-2, 9), min_size=1, max_size=6)


def narrow():
    widths = (3, 4, 5, 4, 6, 5)
    layers = [nn.Conv2d(a, b, 3, stride=2 if a == 5 else 1, padding=1) for a, b in itertools.pairwise(widths)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(1), nn.Linear(5, 3))


@pytest.fixture(scope="module", params=[narrow, residual])
def plan(request):
    return trace(request.param(), torch.zeros(1, 3, 6, 6))


def some_curves(plan, seed):
    """Return convex curves of random steepness, every width measured."""
    rng = np.random.default_rng(seed)
    falls = [np.sort(rng.exponential(size=len(group.units)) * rng.exponential()) for group in plan.groups]
    return [{len(fall) - lost: float(fall[:lost].sum()) for lost in range(len(fall) + 1)} for fall in falls]


def widths(plan, levels, level=0):
    return [int((levels[group.units] <= level).sum()) for group in plan.groups]


def loss(curves, kept):
    return sum(curve[width] for curve, width in zip(curves, kept, strict=True))


def least_loss(plan, curves, target):
    """Return the least loss of all choices of widths that keep the target."""
    costs, sizes = CostModel(plan), [len(group.units) for group in plan.groups]
    best = np.inf
    for kept in itertools.product(*(range(1, size + 1) for size in sizes)):
        if (found := loss(curves, kept)) < best:
            stays = np.ones(plan.units, bool)
            for group, width in zip(plan.groups, kept, strict=True):
                stays[group.units[width:]] = False
            best = found if target.holds(costs.cost(stays), costs.dense) else best
    return best


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("target", ["macs=40%", "params=60%", "macs=70%,params=60%"])
def test_the_loss_is_nearly_the_least_of_all_choices(plan, seed, target):
    curves = some_curves(plan, seed)
    levels = allocate_by_curves(plan, curves, np.arange(plan.units), target=target)
    least = least_loss(plan, curves, parse_target(target))
    assert least <= loss(curves, widths(plan, levels)) <= 1.25 * least + 1e-9


def test_most_of_the_time_it_is_the_least_of_all_choices():
    plan, target = trace(narrow(), torch.zeros(1, 3, 6, 6)), "macs=50%"
    every = [some_curves(plan, seed) for seed in range(10)]
    found = [loss(c, widths(plan, allocate_by_curves(plan, c, np.ones(plan.units), target=target))) for c in every]
    best = [least_loss(plan, curves, parse_target(target)) for curves in every]
    assert np.isclose(found, best).sum() >= 8


@given(networks(), st.data())
def test_targets_hold_levels_nest_and_no_group_is_narrower_than_measured(case, data):
    plan, costs = case[2], CostModel(case[2])
    curves = []
    for group in plan.groups:
        whole = len(group.units)
        curves.append({data.draw(st.integers(0, whole)): data.draw(st.floats(0, 5)), whole: 0.0})
    targets = [parse_target(text) for text in ("macs=80%", "params=70%")]
    scores = np.random.default_rng(0).random(plan.units)
    try:
        levels = allocate_by_curves(plan, curves, scores, target=targets, round_to=2)
    except TargetError:
        return
    ordered = smallest_first_by_curves(plan, curves, scores, targets, round_to=2)
    assert all(target.holds(costs.cost(levels <= number), costs.dense) for number, target in enumerate(ordered))
    assert all(width >= min(curve) for width, curve in zip(widths(plan, levels), curves, strict=True))
    assert np.array_equal(levels, allocate_by_curves(plan, curves, scores, target=targets, round_to=2))


def test_within_a_group_the_least_scores_leave(plan):
    scores = np.random.default_rng(0).random(plan.units)
    levels = allocate_by_curves(plan, some_curves(plan, 0), scores, target="macs=50%")
    for group in plan.groups:
        stay, leave = scores[group.units][levels[group.units] == 0], scores[group.units][levels[group.units] == 1]
        assert not len(leave) or stay.min() > leave.max()


def test_a_group_whose_loss_is_dear_keeps_its_width(plan):
    curves = [{1: 1.0 if number else 1e6, len(group.units): 0.0} for number, group in enumerate(plan.groups)]
    levels = allocate_by_curves(plan, curves, np.arange(plan.units), target="macs=70%")
    assert not levels[plan.groups[0].units].any()


@given(CURVES)
def test_the_convex_curve_is_below_convex_and_never_rises(curve):
    found = convex(curve)
    assert all(found[width] <= loss + 1e-9 for width, loss in curve.items())
    assert (np.diff(found) <= 0).all()
    assert (np.diff(found[min(curve) :], 2) >= -1e-9).all()


@given(CURVES)
def test_the_convex_curve_touches_the_given_one_where_it_is_narrowest_and_least(curve):
    found = convex(curve)
    assert found[min(curve)] == curve[min(curve)]
    assert found[-1] == min(curve.values())


def broken(plan, change):
    curves = some_curves(plan, 0)
    change(curves)
    return curves


REFUSED = {
    "too few": (lambda curves: curves.pop(), PlanMismatch, "give one each, in order"),
    "no whole width": (lambda curves: curves[0].pop(max(curves[0])), PlanMismatch, "no loss at its whole width"),
    "wider than the group": (lambda curves: curves[0].update({99: 0.0}), PlanMismatch, "has a loss at 99 units"),
    "nan": (lambda curves: curves[0].update({1: float("nan")}), InvalidWeights, "at 1 units is nan"),
}


@pytest.mark.parametrize(("change", "error", "why"), REFUSED.values(), ids=REFUSED)
def test_curves_of_something_else_are_refused(plan, change, error, why):
    with pytest.raises(error, match=why):
        allocate_by_curves(plan, broken(plan, change), np.ones(plan.units), target="macs=50%")


def test_widths_that_were_not_measured_raise_the_least(plan):
    curves = [{len(group.units): 0.0} for group in plan.groups]
    with pytest.raises(TargetError, match=r"the widths that the curves measure: the least that is left is 100\.0%"):
        allocate_by_curves(plan, curves, np.ones(plan.units), target="macs=50%")
