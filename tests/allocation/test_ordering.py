"""The order in which units leave: normalised scores, and scores for what is saved."""

import numpy as np
import pytest
import torch

from elastic.allocation import allocate, rank
from elastic.allocation.ordering import normalised
from elastic.costs import CostModel
from elastic.errors import UnknownName
from elastic.tracing import trace
from tests.networks import chain, projected_residual

FORMULAS = {
    "none": lambda own: own,
    "mean": lambda own: own / np.abs(own).mean(),
    "max": lambda own: own / np.abs(own).max(),
    "gaussian": lambda own: (own - own.mean()) / np.sqrt(((own - own.mean()) ** 2).mean()),
}


@pytest.fixture(scope="module", params=[chain, projected_residual])
def plan(request):
    return trace(request.param(), torch.zeros(1, 3, 6, 6))


@pytest.fixture(scope="module")
def scores(plan):
    return np.random.default_rng(0).normal(size=plan.units)


@pytest.mark.parametrize("name", FORMULAS)
def test_scores_are_normalised_within_each_group(plan, scores, name):
    found = normalised(plan, scores, name)
    assert all(np.allclose(found[g.units], FORMULAS[name](scores[g.units]), rtol=1e-12) for g in plan.groups)


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("value", [0.0, 0.1])
def test_equal_scores_stay_equal(plan, name, value):
    found = normalised(plan, np.full(plan.units, value), name)
    assert all(np.ptp(found[group.units]) == 0 for group in plan.groups)


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("scope", ["global", "uniform", "isomorphic"])
@pytest.mark.parametrize("per", [None, "macs"])
def test_within_a_group_the_least_score_leaves_first(plan, scores, name, scope, per):
    order = rank(plan, scores, normalisation=name, scope=scope, per=per)
    assert sorted(order) == list(range(plan.units))
    for group in plan.groups:
        own = scores[order[np.isin(order, group.units)]]
        assert np.array_equal(own, np.sort(own))


@pytest.mark.parametrize("quantity", ["macs", "params"])
def test_units_leave_by_score_per_saving_at_the_widths_then_left(quantity):
    plan = trace(chain(), torch.zeros(1, 3, 6, 6))
    scores, costs = np.random.default_rng(1).random(plan.units), CostModel(plan)
    stays, expected = np.ones(plan.units, bool), []
    while any(stays[group.units].sum() > 1 for group in plan.groups):
        ratios = {}
        for unit in np.flatnonzero(stays):
            less = stays & (np.arange(plan.units) != unit)
            if stays[plan.groups[plan.group_of_unit[unit]].units].sum() > 1:
                ratios[unit] = scores[unit] / (costs.cost(stays)[quantity] - costs.cost(less)[quantity])
        expected.append(min(ratios, key=ratios.__getitem__))
        stays[expected[-1]] = False
    found = rank(plan, scores, normalisation="none", per=quantity)
    assert found[: len(expected)].tolist() == expected


@pytest.mark.parametrize("quantity", ["macs", "params", "size"])
def test_of_equal_scores_the_dearest_leave_first(plan, quantity):
    costs = CostModel(plan)
    saved = [costs.dense[quantity] - costs.cost(np.arange(plan.units) != unit)[quantity] for unit in range(plan.units)]
    first = rank(plan, np.ones(plan.units), per=quantity)[0]
    assert plan.group_of_unit[first] == plan.group_of_unit[int(np.argmax(saved))]


@pytest.mark.parametrize("scores_below_zero", [False, True])
def test_cost_aware_order_loses_less_score_for_the_same_cost(plan, scores, scores_below_zero):
    own = np.abs(scores) - (1 if scores_below_zero else 0)
    kept = [
        (own - own.min())[allocate(plan, own, target="macs=50%", normalisation="none", per=per) == 0].sum()
        for per in (None, "macs")
    ]
    assert kept[1] >= kept[0]


@pytest.mark.parametrize(
    ("option", "why"),
    [
        ({"normalisation": "l2"}, "unknown normalisation 'l2'; known: none, mean, max, gaussian"),
        ({"per": "flops"}, "unknown per='flops'; known: macs, params, size, memory, latency, or none"),
        ({"scope": "local"}, "unknown scope 'local'; known: global, uniform, isomorphic, or shares"),
    ],
    ids=["normalisation", "per", "scope"],
)
def test_an_option_that_is_none_is_refused(plan, scores, option, why):
    with pytest.raises(UnknownName, match=why):
        rank(plan, scores, **option)
