"""Latency as a quantity of targets: by a table with stairs, here one that is written down."""

import numpy as np
import pytest

from elastic.allocation import allocate, allocate_by_programme, least_cost
from elastic.allocation.sums import Sums
from elastic.errors import TargetError
from elastic.targets import parse_target
from tests.test_allocation import plan_of, some_scores


class Stairs:
    """One microsecond for each two positions of each axis, begun ones too."""

    def on(self, plan, sums=None):
        return self

    def seconds(self, lengths):
        return 1e-6 * np.ceil(np.asarray(lengths)[..., :-1] / 2).sum(-1)

    def slopes(self, lengths):
        return np.append(np.full(len(lengths) - 1, 1e-6 / 2), 0)

    def steps(self, fast=2):
        return np.full(99, fast)


def seconds(plan, stays):
    return Stairs().seconds(Sums(plan).lengths(stays))


@pytest.mark.parametrize("way", [allocate, allocate_by_programme])
@pytest.mark.parametrize("share", [0.6, 0.8])
@pytest.mark.parametrize("text", ["latency={:.0%}", "latency={:.0%},macs=70%", "latency={:.3f}us"])
def test_a_target_of_time_is_kept(way, text, share):
    plan = plan_of("dense_block")
    whole = seconds(plan, np.ones(plan.units, bool))
    asked = text.format(share * whole * 1e6 if "us" in text else share)
    stays = way(plan, some_scores(plan), target=asked, latency_table=Stairs()) == 0
    assert seconds(plan, stays) <= share * whole * (1 + 1e-3)
    assert not stays.all()


def test_widths_are_multiples_of_what_is_fast():
    plan = plan_of("chain")
    stays = allocate(plan, some_scores(plan), target="latency=80%", latency_table=Stairs()) == 0
    assert all(int(stays[group.units].sum()) % 2 == 0 for group in plan.groups)


@pytest.mark.parametrize("how", [{"target": "latency=60%"}, {"target": "macs=60%", "per": "latency"}])
def test_time_without_a_table_is_refused(how):
    plan = plan_of("chain")
    with pytest.raises(TargetError, match=r"needs a table of how long .* `elastic profile`"):
        allocate(plan, some_scores(plan), **how)
    with pytest.raises(TargetError, match="needs a table"):
        parse_target("latency=5ms").check(least_cost(plan), least_cost(plan))


@pytest.mark.parametrize(
    ("text", "told"),
    [("latency=8ms", "latency=8ms"), ("latency=0.25s", "latency=250ms"), ("latency=60 %", "latency=60%")],
)
def test_times_are_read_and_told(text, told):
    assert str(parse_target(text).limits[0]) == told


@pytest.mark.parametrize("text", ["latency=8", "latency=8M", "latency=8 min"])
def test_times_without_their_unit_are_refused(text):
    with pytest.raises(TargetError, match="write a number with %, us, ms or s"):
        parse_target(text)
