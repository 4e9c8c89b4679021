"""Ridge: against numpy's least squares on a stacked system."""

import numpy as np
import pytest
import torch

from elastic.recovery.ridge import moved, products, solve


def drawn(*shape):
    return torch.from_numpy(np.random.default_rng(len(shape)).normal(size=shape))


@pytest.mark.parametrize("constant", [True, False])
def test_a_step_is_the_least_squares_solution(constant):
    rows, error = drawn(1, 50, 4), drawn(2, 1, 50, 3)[0]
    found = products([(rows[:, :30], error[:, :30]), (rows[:, 30:], error[:, 30:])], constant=constant)
    step = solve(found, strength=0.1)
    a = np.concatenate([rows[0].numpy(), np.full((50, 1), float(constant))], 1)
    pull = np.sqrt(0.1 * (a[:, :4] ** 2).sum(0).mean())
    stacked = np.concatenate([a, pull * np.eye(4, 5)])
    wanted = np.concatenate([error[0].numpy(), np.zeros((4, 3))])
    found = np.linalg.lstsq(stacked, wanted, rcond=None)[0]
    np.testing.assert_allclose(step.weights[0], found[:4], atol=1e-6)
    np.testing.assert_allclose(step.constant[0], found[4], atol=1e-6)


def test_the_errors_are_those_before_and_after():
    rows, error = drawn(2, 50, 4), drawn(3, 2, 50, 3)[0]
    step = solve(products([(rows, error)], constant=True), strength=1e-3)
    left = error - rows @ step.weights.double() - step.constant[:, None].double()
    assert step.before == pytest.approx(float(error.square().sum()))
    assert step.after == pytest.approx(float(left.square().sum()), rel=1e-5)
    assert step.after < step.before


def test_what_reads_only_zeros_stays():
    step = solve(products([(torch.zeros(1, 9, 2), torch.zeros(1, 9, 2))], constant=True), strength=1e-3)
    assert not step.weights.any()
    assert not step.constant.any()


def test_rows_that_come_in_parts_are_solved_as_if_they_came_at_once():
    rows, error = drawn(1, 60, 4), drawn(2, 1, 60, 3)[0]
    whole = solve(products([(rows, error)], constant=True), strength=0.0)
    first = products([(rows[:, :40], error[:, :40])], constant=True)
    taken = solve(first, strength=0.0)
    left = error[:, 40:] - rows[:, 40:] @ taken.weights.double() - taken.constant[:, None].double()
    rest = solve(products([(rows[:, 40:], left)], constant=True).joined_to(moved(first, taken)), strength=0.0)
    torch.testing.assert_close(taken.weights + rest.weights, whole.weights)
    torch.testing.assert_close(taken.constant + rest.constant, whole.constant)
    assert rest.after == pytest.approx(whole.after, rel=1e-5)
