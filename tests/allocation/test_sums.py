"""Costs in arrays are the cost model's, and savings are what the cost falls by."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given

from elastic.allocation.ordering import depth_within_groups
from elastic.allocation.sums import Prefixes, Sums
from elastic.costs import CostModel
from elastic.dtypes import size_of
from elastic.tracing import trace
from tests.networks import chain, tied_weights
from tests.strategies import networks_with_levels


@given(networks_with_levels())
def test_totals_are_those_of_the_cost_model(case):
    plan, stays = case[2], case[3] <= 1
    sums, cost = Sums(plan), CostModel(plan).cost(stays)
    lengths = sums.lengths(stays)
    assert (sums.total("params", lengths), sums.total("macs", lengths)) == (cost.params, cost.macs)


@pytest.mark.parametrize("make", [chain, tied_weights])
def test_size_is_that_of_the_data_of_all_names(make):
    plan = trace(make(), torch.zeros(1, 3, 6, 6))
    stays = np.arange(plan.units) % 3 > 0
    shapes = CostModel(plan).shapes(stays)
    names = [*plan.tensors, *plan.aliases.values()]
    expected = sum(math.prod(shapes[name]) * size_of(plan.tensors[name].dtype) for name in names)
    assert Sums(plan).total("size", Sums(plan).lengths(stays)) == expected


@given(networks_with_levels())
def test_lengths_can_be_looked_up_by_width(case):
    plan, sums = case[2], Sums(case[2])
    depth = depth_within_groups(plan, np.argsort(case[3], kind="stable")[::-1])
    widths = np.array([1 + int(case[3][group.units[0]]) % len(group.units) for group in plan.groups])
    stays = depth < widths[plan.group_of_unit]
    assert np.array_equal(Prefixes(sums, depth).lengths(widths), sums.lengths(stays))


@pytest.mark.parametrize("quantity", ["macs", "params"])
def test_savings_are_what_the_cost_falls_by(quantity):
    plan = trace(chain(), torch.zeros(1, 3, 6, 6))  # no tensor has one unit on two axes: the first order is all
    costs, stays = CostModel(plan), np.arange(plan.units) % 4 > 0
    savings = Sums(plan).savings(quantity, stays)
    for unit in np.flatnonzero(stays):
        less = stays & (np.arange(plan.units) != unit)
        assert savings[unit] == costs.cost(stays)[quantity] - costs.cost(less)[quantity]
