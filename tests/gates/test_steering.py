"""Steering: a strength that rises, and one that follows what is paid."""

import pytest

from elastic.gates.steering import Steering


def test_a_fixed_strength_rises_in_the_warm_up_and_stays():
    steering = Steering(10, 2.0, warm_up=0.4)
    seen = []
    for _ in range(10):
        seen.append(steering.now)
        steering.go_on()
    assert seen == pytest.approx([0.5, 1.0, 1.5] + 7 * [2.0])


def test_without_a_warm_up_it_is_there_at_once():
    assert Steering(10, 2.0).now == 2.0


def test_the_goal_falls_to_the_target():
    steering = Steering(10, 0.0, 0.2, ramp=0.5)
    goals = []
    for _ in range(8):
        goals.append(steering.goal)
        steering.go_on()
    assert goals == pytest.approx([1.0, 0.84, 0.68, 0.52, 0.36, 0.2, 0.2, 0.2])


def test_the_strength_rises_while_too_much_is_paid_and_falls_while_too_little_is():
    steering = Steering(100, 1.0, 0.1, ramp=0.0)
    before = steering.sum
    steering.go_on()
    assert steering.sum > before
    steering.paid = 0.0
    after = steering.sum
    steering.go_on()
    assert steering.sum < after


@pytest.mark.parametrize("needed", [0.5, 5.0, 20.0])
def test_what_is_paid_comes_to_the_target_whatever_strength_that_takes(needed):
    """Of gates that close slowly: three quarters at the strength that is needed."""
    steering = Steering(2000, 0.0, 0.25)
    for _ in range(2000):
        towards = 1 / (1 + 3 * (steering.now / needed) ** 2)
        steering.paid += 0.02 * (towards - steering.paid)
        steering.go_on()
    assert steering.paid == pytest.approx(0.25, abs=0.03)


def test_it_goes_on_where_it_was():
    one, other = Steering(50, 0.3, 0.1), Steering(50, 0.3, 0.1)
    for _ in range(7):
        one.paid = 0.9
        one.go_on()
    other.load(one.state())
    assert (other.now, other.goal, other.step) == (one.now, one.goal, one.step)
