"""Staircases: what was put in is found, and nothing is below zero."""

from functools import partial

import numpy as np
import pytest

from elastic.latency.staircases import Staircases, features, fit_staircase, least_squares


def points(count=40, seed=0):
    return np.random.default_rng(seed).integers(1, 130, (count, 3))


def rounded(widths, step):
    return -(-widths // step) * step


def fitted(widths, seconds):
    steps, factors = fit_staircase(partial(features, widths), int(widths.max()), seconds, 1 / seconds)
    return Staircases(steps[None], factors[None])


@pytest.mark.parametrize("steps", [(1, 1), (8, 8), (32, 32), (4, 16), (32, 1)])
def test_the_steps_of_a_staircase_are_found(steps):
    widths = points()
    inputs, outputs = (rounded(widths[:, side], step) for side, step in enumerate(steps))
    assert fitted(widths, 3.0 + 0.5 * outputs + 0.01 * inputs * outputs).steps.tolist() == [list(steps)]


@pytest.mark.parametrize("side", [0, 1])
def test_widths_between_steps_that_are_dearer_are_predicted(side):
    widths, others = points(), points(seed=1)

    def seconds(of):
        is_odd = of[:, side] % 4 != 0
        return 2.0 + rounded(of[:, 0], 4) * rounded(of[:, 1], 4) * (0.01 + 0.02 * is_odd)

    found = fitted(widths, seconds(widths)).seconds(others[:, None]).sum(-1)
    np.testing.assert_allclose(found, seconds(others), rtol=1e-6)


def test_no_factor_is_below_zero():
    columns = np.array([[1.0, 1.0], [1.0, 2.0], [1.0, 3.0]])
    assert least_squares(columns, np.array([3.0, 2.0, 1.0]), np.ones(3)).min() >= 0


def test_slopes_are_those_of_staircases_of_single_channels():
    widths = points(30)
    found = fitted(widths, 1.0 + 0.3 * widths[:, 1] + 0.02 * widths[:, 0] * widths[:, 1] + 0.1 * widths[:, 2])
    here = np.array([[40, 50, 60]])
    wider = [here + row for row in np.eye(3, dtype=np.int64)]
    expected = [float(found.seconds(each).sum() - found.seconds(here).sum()) for each in wider]
    np.testing.assert_allclose(found.slopes(here)[0], expected, rtol=1e-6, atol=1e-9)
