"""Efficiency: what is cut to a time has no fewer MACs than a uniform cut, though scores would have it so."""

import numpy as np
import pytest

from elastic.allocation import allocate, smallest_first
from elastic.allocation.bounds import Bounds
from elastic.allocation.efficiency import NEARLY, POWERS
from elastic.allocation.rules import Rules, search_of
from elastic.allocation.sums import Sums
from elastic.costs import CostModel
from elastic.targets import parse_target
from tests.test_allocation import plan_of, some_scores


class Prices:
    """Each position of an axis takes its own time, between one and nine microseconds."""

    def on(self, plan, sums=None):
        count = len((sums or Sums(plan)).fixed) - 1
        self.prices = np.append(1e-6 * np.linspace(1, 9, count)[np.random.default_rng(0).permutation(count)], 0)
        return self

    def seconds(self, lengths):
        return np.asarray(lengths) @ self.prices

    def slopes(self, lengths):
        return self.prices

    def steps(self):
        return np.ones(len(self.prices), np.int64)


def perverse(plan):
    """Return scores that are the higher the longer a unit takes for its MACs."""
    sums, stays = Sums(plan, Prices()), np.ones(plan.units, bool)
    return sums.savings("latency", stays) / np.maximum(sums.savings("macs", stays), 1)


def macs(plan, scores, text="latency=60%", **options):
    stays = allocate(plan, scores, target=text, latency_table=Prices(), **options) == 0
    return CostModel(plan).cost(stays).macs


def by_scores_alone(plan, scores, text="latency=60%"):
    rules = Rules("none", "global", None, Bounds(), Prices())
    search = search_of(plan, scores, rules)
    return search.macs(search.choose(parse_target(text), search.room.most))


@pytest.mark.parametrize("name", ["chain", "dense_block", "residual"])
def test_a_network_of_some_time_has_the_macs_of_a_uniform_one(name):
    plan = plan_of(name)
    scores = perverse(plan)
    uniform = macs(plan, scores, scope="uniform")
    assert by_scores_alone(plan, scores) <= uniform
    for efficiency in (1.0, 1.05):
        assert macs(plan, scores, normalisation="none", efficiency=efficiency) >= efficiency * uniform


def test_scores_alone_decide_where_they_are_efficient_enough():
    plan = plan_of("chain")
    scores = 1 / perverse(plan)
    rules = Rules("none", "global", None, Bounds(), Prices())
    search = search_of(plan, scores, rules)
    alone = search.levels([search.choose(parse_target("latency=60%"), search.room.most)])
    found = allocate(plan, scores, target="latency=60%", normalisation="none", latency_table=Prices())
    assert np.array_equal(found, alone)


def test_where_none_is_efficient_enough_scores_decide_among_those_that_nearly_come_as_near():
    plan, target = plan_of("chain"), parse_target("latency=60%")
    for scores in (perverse(plan), 1 / perverse(plan)):
        searches = [search_of(plan, scores, Rules("none", latency_table=Prices()), power=p) for p in (0.0, *POWERS)]
        found = [search.macs(search.choose(target, search.room.most)) for search in searches]
        first = next(each for each in found if each >= NEARLY * max(found))
        assert macs(plan, scores, normalisation="none", efficiency=100) == first
    assert first == found[0]  # of scores that are efficient by themselves


@pytest.mark.parametrize("options", [{"scope": "uniform"}, {"scope": "isomorphic"}])
def test_who_competes_stays_as_it_was_asked_for(options):
    plan = plan_of("chain")
    scores = perverse(plan)
    search = search_of(plan, scores, Rules("none", **options, bounds=Bounds(), latency_table=Prices()))
    alone = search.levels([search.choose(parse_target("latency=60%"), search.room.most)])
    found = allocate(plan, scores, target="latency=60%", normalisation="none", latency_table=Prices(), **options)
    assert np.array_equal(found, alone)


def test_with_an_efficiency_of_nothing_scores_alone_decide():
    plan = plan_of("chain")
    scores = perverse(plan)
    assert macs(plan, scores, normalisation="none", efficiency=0) == by_scores_alone(plan, scores)


def test_targets_without_a_time_look_at_none():
    plan, scores = plan_of("chain"), some_scores(plan_of("chain"))
    with_table = allocate(plan, scores, target="macs=50%", latency_table=Prices(), efficiency=100)
    assert np.array_equal(with_table, allocate(plan, scores, target="macs=50%"))


def test_levels_are_named_in_the_order_in_which_they_are_made():
    plan = plan_of("dense_block")
    scores, targets = perverse(plan), [parse_target(text) for text in ("latency=80%", "macs=30%", "latency=60%")]
    ordered = smallest_first(plan, scores, targets, latency_table=Prices())
    levels = allocate(plan, scores, target=targets, latency_table=Prices())
    costs = Sums(plan, Prices()).costs()
    for number, target in enumerate(ordered):
        assert target.holds(costs.cost(levels <= number), costs.dense)
