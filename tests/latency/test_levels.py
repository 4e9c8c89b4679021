"""Levels: what is cut to a time is timed beside a uniform cut of its MACs, and keeps more where that is faster."""

from functools import partial

import numpy as np
import pytest

from elastic.allocation import allocate
from elastic.allocation.sums import Sums
from elastic.latency import levels
from elastic.latency.holding import hold, warn
from elastic.targets import parse_target
from tests.allocation.test_efficiency import Prices, perverse
from tests.test_allocation import plan_of

TARGETS = [parse_target("latency=60%")]


class Machine:
    """What is cut by scores takes some times as long as the table predicts, uniform cuts as long."""

    def __init__(self, name, factor):
        self.plan, self.factor, self.asked = plan_of(name), factor, []
        self.scores, self.costs = perverse(self.plan), Sums(self.plan, Prices()).costs()
        self.uniform = partial(allocate, self.plan, self.scores, scope="uniform")

    def allocate(self, target, efficiency=1.0):
        self.asked.append(efficiency)
        options = {"normalisation": "none", "latency_table": Prices(), "efficiency": efficiency}
        return allocate(self.plan, self.scores, target=target, **options)

    def seconds(self, cuts):
        found = {name: 1e-9 * self.costs.cost(cut == 0)["latency"] for name, cut in cuts.items()}
        slow = {name: seconds * self.factor for name, seconds in found.items() if "uniform" not in np.atleast_1d(name)}
        return found | slow | {"reference": 1e-9 * self.costs.dense["latency"]}

    def levels(self):
        return levels._keeping_up(self, self.holding, self.allocate, self.uniform, TARGETS)

    def holding(self, allocate):
        return hold(allocate, partial(levels.measure_levels, self), TARGETS)


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    monkeypatch.setattr(levels, "_seconds", lambda machine, cuts: machine.seconds(cuts))


def test_what_keeps_up_is_asked_for_no_more_macs():
    machine = Machine("residual", 0.9)
    found, (held,) = machine.levels()
    assert held.seconds <= held.uniform
    assert set(machine.asked) == {levels.EFFICIENCIES[0]}
    alone, _ = machine.holding(partial(machine.allocate, efficiency=levels.EFFICIENCIES[0]))
    assert np.array_equal(found, alone)


@pytest.mark.parametrize("name", ["residual", "dense_block"])
def test_where_a_uniform_cut_is_faster_the_one_nearest_to_it_is_taken(name):
    machine = Machine(name, 3.0)
    _, (held,) = machine.levels()
    assert max(machine.asked) > levels.EFFICIENCIES[0]
    first = machine.holding(machine.allocate)
    (alone,) = levels._beside_uniform(machine, *first, machine.uniform)
    assert held.seconds / held.uniform <= alone.seconds / alone.uniform


def test_what_is_faster_by_less_than_the_margin_is_asked_for_more_macs(monkeypatch):
    monkeypatch.setattr(levels, "MARGIN", 0.99)
    machine = Machine("residual", 0.9)
    _, (held,) = machine.levels()
    assert held.seconds <= held.uniform
    assert set(machine.asked) == set(levels.EFFICIENCIES)


def test_that_a_uniform_cut_stays_faster_is_said(caplog):
    _, held = Machine("chain", 3.0).levels()
    warn(held)
    assert "latency=60%: a uniform cut of as many MACs takes" in caplog.text
    assert "with scope=uniform it is that" in caplog.text


def test_how_long_a_cut_is_timed_is_told_before():
    assert levels.forecast(0.001, 2) == 3 * levels.LEAST_SECONDS
    assert levels.forecast(2.0, 1) == pytest.approx(2 * levels.RUNS * 2.0)
