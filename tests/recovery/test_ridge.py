"""Ridge: against numpy's least squares on a stacked system."""

import numpy as np
import pytest
import torch

from elastic.recovery.ridge import solve


def drawn(*shape):
    return torch.from_numpy(np.random.default_rng(len(shape)).normal(size=shape))


@pytest.mark.parametrize("constant", [True, False])
def test_a_step_is_the_least_squares_solution(constant):
    rows, error = drawn(1, 50, 4), drawn(2, 1, 50, 3)[0]
    step = solve([(rows[:, :30], error[:, :30]), (rows[:, 30:], error[:, 30:])], strength=0.1, constant=constant)
    a = np.concatenate([rows[0].numpy(), np.full((50, 1), float(constant))], 1)
    pull = np.sqrt(0.1 * (a[:, :4] ** 2).sum(0).mean())
    stacked = np.concatenate([a, pull * np.eye(4, 5)])
    wanted = np.concatenate([error[0].numpy(), np.zeros((4, 3))])
    found = np.linalg.lstsq(stacked, wanted, rcond=None)[0]
    np.testing.assert_allclose(step.weights[0], found[:4], atol=1e-6)
    np.testing.assert_allclose(step.constant[0], found[4], atol=1e-6)


def test_the_errors_are_those_before_and_after():
    rows, error = drawn(2, 50, 4), drawn(3, 2, 50, 3)[0]
    step = solve([(rows, error)], strength=1e-3, constant=True)
    left = error - rows @ step.weights.double() - step.constant[:, None].double()
    assert step.before == pytest.approx(float(error.square().sum()))
    assert step.after == pytest.approx(float(left.square().sum()), rel=1e-5)
    assert step.after < step.before


def test_what_reads_only_zeros_stays():
    step = solve([(torch.zeros(1, 9, 2), torch.zeros(1, 9, 2))], strength=1e-3, constant=True)
    assert not step.weights.any()
    assert not step.constant.any()
