"""Predicting: from the lengths of axes to seconds, for thousands of networks at once.

A network's time is the sum of its layers' staircases, with one factor and one constant for what watching the layers
took. Where a runtime doesn't tell the times of layers, all of them share the factors of one staircase, in proportion to
how often each is used.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from elastic.allocation.products import FloatArray
from elastic.allocation.sums import Sums
from elastic.errors import PlanMismatch
from elastic.latency.staircases import (
    CONSTANT,
    FEATURES,
    ODD_INPUTS,
    ODD_OUTPUTS,
    ODD_PRODUCTS,
    PRODUCT,
    Staircases,
    features,
    fit_staircase,
    least_squares,
)
from elastic.plan import IntArray, Plan

Count = Annotated[int, Field(ge=1)]


class Layer(BaseModel):
    """A module with weights; its own is the largest of them."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str
    weight: str
    shape: Annotated[tuple[Count, ...], Field(min_length=1)]  # of the weight, in the whole network
    inputs: int | None  # number of the weight's axis; None where it has no such axis
    outputs: int
    positions: Count  # how often the weight is used on one input: pixels, or tokens


@dataclass(frozen=True, eq=False)
class Fitted:
    """The staircases of a network's layers."""

    layers: tuple[Layer, ...]
    staircases: Staircases
    factor: float
    constant: float  # seconds

    def seconds(self, widths: IntArray) -> FloatArray:
        """Return the seconds of networks whose layers have these widths, [..., layers, 3] -> [...]."""
        found: FloatArray = self.factor * self.staircases.seconds(widths).sum(-1) + self.constant
        return found

    def on(self, plan: Plan, sums: Sums | None = None) -> "Predictor":
        """Return the predictor for the axes of a plan. Raises PlanMismatch if it is of another network."""
        return Predictor(self, sums or Sums(plan))


class Predictor:
    """The seconds of a plan's network by the lengths of its axes, as `Sums` numbers them."""

    def __init__(self, fitted: Fitted, sums: Sums) -> None:
        self.fitted, self.sums = fitted, sums
        self._last = len(sums.fixed) - 1  # the axis of length 1
        self._axes, self._whole = widths_of_layers(fitted.layers, sums)

    def seconds(self, lengths: IntArray) -> FloatArray:
        """Return the seconds of networks with axes of these lengths, [..., axes + 1] -> [...]."""
        return self.fitted.seconds(self.widths(lengths))

    def widths(self, lengths: IntArray) -> IntArray:
        """Return inputs, outputs and what comes behind of each layer, [..., layers, 3]."""
        found: IntArray = lengths[..., self._axes] * self._whole
        return found

    def slopes(self, lengths: IntArray) -> FloatArray:
        """Return the derivative by the length of each axis [axes + 1], as if there were no steps."""
        by_width = self.fitted.factor * self.fitted.staircases.slopes(self.widths(lengths)) * self._whole
        found: FloatArray = np.bincount(self._axes.ravel(), by_width.ravel(), len(self.sums.fixed)).astype(np.float64)
        found[self._last] = 0
        return found

    def steps(self) -> IntArray:
        """Return the multiple of channels that is fast on each axis, [axes + 1]; 1 where any is."""
        found = np.ones(len(self.sums.fixed), np.int64)
        steps, factors = self.fitted.staircases.steps, self.fitted.staircases.factors
        counts = factors[:, [PRODUCT, *ODD_PRODUCTS, ODD_OUTPUTS, ODD_INPUTS]].any(1, keepdims=True)
        np.maximum.at(found, self._axes[:, :2], np.where(counts, steps, 1))
        found[self._last] = 1
        return found


def widths_of_layers(layers: Sequence[Layer], sums: Sums) -> tuple[IntArray, IntArray]:
    """Return, for inputs, outputs and behind of each layer, the axis and what its length is to be multiplied with.

    Raises PlanMismatch if the plan hasn't a layer's weight of this shape.
    """
    own = [_axes(layer, sums) for layer in layers]
    # Behind a layer is what the next one reads; behind the last, what it makes.
    behind = [*(reads for _, _, reads in own[1:]), *(makes for _, makes, _ in own[-1:])]
    found = np.array([[*pair, next_] for (*pair, _), next_ in zip(own, behind, strict=True)], np.int64)
    return found[..., 0], found[..., 1]


def fit(layers: Sequence[Layer], widths: IntArray, inside: Sequence[Mapping[str, float]], whole: FloatArray) -> Fitted:
    """Return staircases for networks of these widths [n, layers, 3], times of layers and of the whole [n].

    Errors count as shares of the whole network's time.
    """
    told = np.array([bool(found) for found in inside])
    if not told.any():
        return _fit_whole(layers, widths, whole)
    names = {layer.name for layer in layers if any(layer.name in found for found in inside)}
    steps, factors = np.ones((len(layers), 2), np.int64), np.zeros((len(layers), FEATURES))
    for number, layer in enumerate(layers):
        if layer.name not in names:
            continue
        points, seconds = widths[told, number], np.array([f.get(layer.name, 0.0) for f in inside if f])
        steps[number], factors[number] = fit_staircase(
            partial(features, points), int(points[:, :2].max()), seconds, 1 / whole[told]
        )
    staircases = Staircases(steps, factors)
    sums = staircases.seconds(widths).sum(-1)
    factor, constant = least_squares(np.stack([sums, np.ones_like(sums)], 1), whole, 1 / whole)
    return Fitted(tuple(layers), staircases, float(factor), float(constant))


def _fit_whole(layers: Sequence[Layer], widths: IntArray, whole: FloatArray) -> Fitted:
    used = np.array([[layer.positions] for layer in layers], np.float64)
    taps = np.array([[_taps(layer)] for layer in layers], np.float64)
    scale = np.repeat(used, FEATURES, 1)
    scale[:, [PRODUCT, *ODD_PRODUCTS]] *= taps
    scale[:, CONSTANT] = 1 / len(layers)
    steps, factors = fit_staircase(
        lambda steps: (features(widths, steps) * scale).sum(1), int(widths.max()), whole, 1 / whole
    )
    return Fitted(tuple(layers), Staircases(np.tile(steps, (len(layers), 1)), factors * scale), 1.0, 0.0)


def _taps(layer: Layer) -> int:
    """Return how many weights there are for each pair of an input and an output."""
    return math.prod(n for axis, n in enumerate(layer.shape) if axis not in (layer.inputs, layer.outputs))


def _axes(layer: Layer, sums: Sums) -> list[tuple[int, int]]:
    """Return axis and multiplier of what a layer's product is over, of what it makes, and of what it reads."""
    spec = sums.plan.tensors.get(layer.weight)
    if spec is None or spec.shape != layer.shape:
        known = "has none" if spec is None else f"has one of shape {list(spec.shape)}"
        raise PlanMismatch(
            f"the latency table has {layer.weight} of shape {list(layer.shape)}, the network {known}; profile this "
            "network"
        )
    last = len(sums.fixed) - 1

    def along(axis: int) -> tuple[int, int]:
        number = sums.numbers.get((layer.weight, axis))
        return (last, layer.shape[axis]) if number is None else (number, 1)

    makes = along(layer.outputs)
    # A norm has no inputs of its own, and a depthwise layer one for each output: they read what they make.
    inputs = (last, 1) if layer.inputs is None else along(layer.inputs)
    return [inputs, makes, makes if inputs == (last, 1) else inputs]
