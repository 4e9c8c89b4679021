"""Programmes: targets are kept, levels nest, and no more is lost than in the greedy order."""

from functools import partial
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from elastic.allocation import allocate, allocate_by_programme, least_cost
from elastic.costs import CostModel
from elastic.errors import TargetError
from elastic.targets import parse_target
from tests.allocation.test_efficiency import Prices, macs, perverse
from tests.test_allocation import WIRED, plan_of, some_scores

QUANTITIES = ["macs", "params", "size"]
EXACT = partial(allocate_by_programme, normalisation="none")


def lost(levels, scores):
    return float(scores[levels > 0].sum())


@settings(max_examples=20)
@given(
    st.sampled_from(sorted(WIRED)), st.sampled_from(QUANTITIES), st.integers(40, 95), st.sampled_from([1, 2, 4]),
    st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_a_target_is_kept_with_no_more_lost_than_by_the_greedy_order(name, quantity, share, step, seed):
    plan, scores, target = plan_of(name), some_scores(plan_of(name), seed), parse_target(f"{quantity}={share}%")
    assume(target.holds(least_cost(plan, round_to=step), CostModel(plan).dense))
    found = EXACT(plan, scores, target=target, round_to=step)
    greedy = allocate(plan, scores, target=target, round_to=step, normalisation="none")
    assert target.holds(CostModel(plan).cost(found == 0), CostModel(plan).dense)
    assert lost(found, scores) <= lost(greedy, scores) * (1 + 1e-9)


def best_of_all(plan, scores, target):
    """Return what is lost with the best widths there are, tried one by one."""
    costs, best = CostModel(plan), np.inf
    kept = [group.units[np.argsort(-scores[group.units], kind="stable")] for group in plan.groups]
    for widths in product(*(range(1, len(units) + 1) for units in kept)):
        stays = np.zeros(plan.units, bool)
        for units, width in zip(kept, widths, strict=True):
            stays[units[:width]] = True
        if scores[~stays].sum() < best and target.holds(costs.cost(stays), costs.dense):
            best = float(scores[~stays].sum())
    return best


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("share", [35, 60, 85])
def test_a_small_network_is_solved_nearly_to_the_best_there_is(share, seed):
    plan, target = plan_of("chain"), parse_target(f"macs={share}%")
    scores = some_scores(plan, seed) ** 3
    assert lost(EXACT(plan, scores, target=target), scores) <= 1.02 * best_of_all(plan, scores, target)


def test_levels_nest_and_each_keeps_its_target():
    plan = plan_of("projected_residual")
    targets = [parse_target("macs=80%,params=85%"), parse_target("size=60%")]
    levels, costs = allocate_by_programme(plan, some_scores(plan), target=targets), CostModel(plan)
    assert targets[0].holds(costs.cost(levels <= 1), costs.dense)
    assert targets[1].holds(costs.cost(levels == 0), costs.dense)


def test_what_can_not_be_reached_is_refused():
    with pytest.raises(TargetError, match="cannot be reached: the least this model can keep is"):
        allocate_by_programme(plan_of("chain"), some_scores(plan_of("chain")), target="macs=0.01%")


def test_a_limit_holds_beside_one_of_far_larger_numbers():
    plan, text = plan_of("dense_block"), "params=60%,macs=63%"  # in which the parameters leave less
    scores = some_scores(plan, 2)
    greedy = allocate(plan, scores, target=text, normalisation="none")
    assert lost(EXACT(plan, scores, target=text), scores) < lost(greedy, scores)


@pytest.mark.parametrize("name", ["chain", "dense_block", "residual"])
def test_what_is_cut_to_a_time_has_the_macs_of_a_uniform_cut(name):
    plan = plan_of(name)
    scores, options = perverse(plan), {"target": "latency=60%", "latency_table": Prices(), "efficiency": 1.05}
    found, greedy = EXACT(plan, scores, **options), allocate(plan, scores, normalisation="none", **options)
    assert CostModel(plan).cost(found == 0).macs >= 1.05 * macs(plan, scores, scope="uniform")
    assert lost(found, scores) <= lost(greedy, scores) * (1 + 1e-9)
