"""Holding: what is measured corrects what is asked for, until the clock shows it."""

import logging

import numpy as np
import pytest

from elastic.errors import TargetError
from elastic.latency.holding import AIM, HIGH, LOW, TIMES, hold, warn
from elastic.targets import parse_target

WHOLE = 0.1  # seconds


class Machine:
    """Allocates shares of the whole, and shows other times than were predicted."""

    def __init__(self, shown, least=0.0):
        self.shown, self.least, self.asked = shown, least, []

    def allocate(self, target):
        shares = [one.limits[0].share or 1e-9 * one.limits[0].amount / WHOLE for one in target]
        if min(shares) < self.least:
            raise TargetError("cannot be reached")
        self.asked.append(shares)
        return np.array(shares)

    def measure(self, levels):
        return [*(WHOLE * self.shown(share) for share in levels), WHOLE]


@pytest.mark.parametrize("shown", [lambda share: 1.2 * share, lambda share: 0.8 * share, lambda share: share**0.7])
@pytest.mark.parametrize("text", ["latency=50%", "latency=50ms"])
def test_a_prediction_that_is_off_is_corrected(shown, text):
    machine = Machine(shown)
    levels, (held,) = hold(machine.allocate, machine.measure, [parse_target(text)])
    assert LOW <= held.off <= HIGH
    assert 1 < held.cuts == len(machine.asked) <= TIMES
    assert held.seconds == pytest.approx(WHOLE * shown(levels[0]))
    assert held.asked == pytest.approx(0.5 * WHOLE)


def test_each_measurement_is_told_as_it_is_made():
    machine, told = Machine(lambda share: 1.2 * share), []
    targets = [parse_target("macs=20%"), parse_target("latency=50%")]
    _, held = hold(machine.allocate, machine.measure, targets, told.append)
    assert [each and each.cuts for _, each in told] == list(range(1, len(machine.asked) + 1))
    assert told[-1] == held
    assert {each for each, _ in told} == {None}


def test_what_holds_is_not_cut_again():
    machine = Machine(lambda share: share)
    _, (held,) = hold(machine.allocate, machine.measure, [parse_target("latency=50%")])
    assert held.cuts == 1


def test_what_holds_by_chance_alone_is_cut_again():
    machine, shown = Machine(lambda share: share), iter([1.0, 1.2, *[1.1] * 9])
    machine.shown = lambda share: next(shown) * share
    _, (held,) = hold(machine.allocate, machine.measure, [parse_target("latency=50%")])
    assert held.cuts == 2
    assert machine.asked == [[0.5], [pytest.approx(0.5 * AIM / 1.1)]]
    assert held.off == pytest.approx(AIM)


def test_each_level_is_corrected_by_itself_and_others_stay():
    machine = Machine(lambda share: 1.1 * share)
    _, held = hold(
        machine.allocate, machine.measure, [parse_target(t) for t in ("macs=20%", "latency=40%", "latency=70%")]
    )
    assert held[0] is None
    assert all(LOW <= each.off <= HIGH for each in held[1:])
    assert {shares[0] for shares in machine.asked} == {0.2}


def test_what_never_holds_is_told_with_what_missed_least(caplog):
    machine = Machine(lambda share: 0.9)
    with caplog.at_level(logging.WARNING):
        _, (held,) = hold(machine.allocate, machine.measure, [parse_target("latency=50%")])
        warn([held])
    assert held.off == pytest.approx(1.8)
    assert "latency=50% was asked for, and 90 ms are measured: 80.0 % too much" in caplog.text


def test_a_correction_that_can_not_be_reached_ends_with_the_best():
    machine = Machine(lambda share: 1.2 * share, least=0.45)
    _, (held,) = hold(machine.allocate, machine.measure, [parse_target("latency=50%")])
    assert held.off == pytest.approx(1.2)


def test_a_target_that_can_not_be_reached_at_all_is_refused():
    machine = Machine(lambda share: share, least=0.6)
    with pytest.raises(TargetError, match="cannot be reached"):
        hold(machine.allocate, machine.measure, [parse_target("latency=50%")])
