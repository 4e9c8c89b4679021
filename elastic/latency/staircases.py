"""Staircases: the seconds of a layer over its widths, fitted to what was measured.

A layer's seconds are a sum, with factors that are not negative, of 1, its outputs, its inputs, the width of what comes
behind it, and inputs times outputs. Kernels take channels in blocks: widths are rounded up to a step, inputs to one and
outputs to another, and widths that are no multiple of it may be dearer in themselves, as where a runtime leaves its
blocked layout for them. Which steps they are decides what predicts points that were left out best.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from elastic.allocation.products import FloatArray
from elastic.plan import IntArray

STEPS = (1, 4, 8, 16, 32, 64)
FOLDS = 5
BETTER = 0.9  # of the error of single channels, or of one step for both sides: what others must not exceed
NOTHING = 1e-12  # of the squared seconds: errors below that are rounding
FEATURES = 9
CONSTANT, OUTPUTS, INPUTS, BEHIND, PRODUCT, ODD_OUTPUTS, ODD_INPUTS, *ODD_PRODUCTS = range(FEATURES)


@dataclass(frozen=True, eq=False)
class Staircases:
    """Seconds of layers over their widths: two steps, and a factor for each feature, for every layer."""

    steps: IntArray  # [layers, 2], of inputs and of outputs
    factors: FloatArray  # [layers, features]

    def seconds(self, widths: IntArray) -> FloatArray:
        """Return the seconds of layers of these widths, [..., layers, 3] -> [..., layers]."""
        found: FloatArray = (features(widths, self.steps) * self.factors).sum(-1)
        return found

    def slopes(self, widths: IntArray) -> FloatArray:
        """Return the derivatives by each width, [..., layers, 3], as if there were no steps."""
        inputs, outputs = widths[..., 0], widths[..., 1]
        by_inputs = self.factors[:, INPUTS] + self.factors[:, PRODUCT] * outputs
        by_outputs = self.factors[:, OUTPUTS] + self.factors[:, PRODUCT] * inputs
        return np.stack([by_inputs, by_outputs, np.broadcast_to(self.factors[:, BEHIND], inputs.shape)], -1)


def features(widths: IntArray, steps: IntArray) -> FloatArray:
    """Return the features of widths [..., 3]: inputs, outputs, behind, by steps [..., 2] -> [..., features]."""
    steps = steps[..., [0, 1, 1]]
    whole = -(-widths // steps) * steps
    inputs, outputs, behind = (whole[..., number].astype(np.float64) for number in range(3))
    is_odd = widths % steps != 0
    odd_inputs, odd_outputs = is_odd[..., 0], is_odd[..., 1]
    product = inputs * outputs
    columns = (
        np.ones_like(inputs), outputs, inputs, behind, product,
        outputs * odd_outputs, inputs * odd_inputs, product * odd_inputs, product * odd_outputs,
    )  # fmt: skip
    return np.stack(columns, -1)


def fit_staircase(
    columns: Callable[[IntArray], FloatArray], widest: int, seconds: FloatArray, weights: FloatArray
) -> tuple[IntArray, FloatArray]:
    """Return the steps [2] and the factors [features] for `columns(steps)` [n, features] and seconds [n].

    `weights` [n] are what the errors count; steps beyond the widest width are not tried.
    """

    @cache
    def error(inputs: int, outputs: int) -> float:
        found = _error_left_out(columns(np.array([inputs, outputs])), seconds, weights)
        return max(found, NOTHING * float(((seconds * weights) ** 2).sum()))

    steps = [step for step in STEPS if step <= max(widest, 1)]
    same = min(steps[1:], key=lambda step: error(step, step), default=1)
    best = (same, same) if error(same, same) < BETTER * error(1, 1) else (1, 1)
    for _ in range(2):
        for others in ([(best[0], step) for step in steps], [(step, best[1]) for step in steps]):
            other = min(others, key=lambda pair: error(*pair))
            best = other if error(*other) < BETTER * error(*best) else best
    found = np.array(best)
    return found, least_squares(columns(found), seconds, weights)


def least_squares(columns: FloatArray, seconds: FloatArray, weights: FloatArray) -> FloatArray:
    """Return factors, none below zero, of the least weighted squared error."""
    from scipy.optimize import nnls

    scale = np.maximum(np.abs(columns).max(0), 1e-30)
    found: FloatArray = nnls(columns / scale * weights[:, None], seconds * weights)[0] / scale
    return found


def _error_left_out(columns: FloatArray, seconds: FloatArray, weights: FloatArray) -> float:
    """Return the squared error on points that were left out of the fit, a fifth at a time."""
    folds, total = np.arange(len(seconds)) % FOLDS, 0.0
    for fold in range(FOLDS):
        out = folds == fold
        factors = least_squares(columns[~out], seconds[~out], weights[~out])
        total += float((((columns[out] @ factors - seconds[out]) * weights[out]) ** 2).sum())
    return total
