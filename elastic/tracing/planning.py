"""From labels to a plan: units are numbered in the order in which the state dict meets them."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from torch import nn

from elastic.dtypes import dtype_name
from elastic.plan import NEVER, Axis, Frozen, IntArray, Layer, Operation, Output, Plan, TensorSpec
from elastic.tracing.labels import Labels


def specs_of(model: nn.Module) -> tuple[dict[str, TensorSpec], dict[str, str]]:
    """Return what a plan knows of each tensor of a state dict, and the first name of each that is tied."""
    parameters = {id(p) for p in model.parameters()}
    first: dict[int, str] = {}
    specs, aliases = {}, {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        if (known := first.setdefault(id(tensor), name)) != name:
            aliases[name] = known
        else:
            specs[name] = TensorSpec(tuple(tensor.shape), dtype_name(tensor.dtype), id(tensor) in parameters)
    return specs, aliases


def make_plan(labels: Labels, specs: Mapping[str, TensorSpec], aliases: Mapping[str, str]) -> Plan:
    """Return the plan of labels; axes that have no unit are left out."""
    order = {name: number for number, name in enumerate(specs)}
    homes = sorted((home for home in labels.axes if home[0] in order), key=lambda home: (order[home[0]], home[1]))
    numbers = _Numbers([labels.axes[home] for home in homes])
    axes: dict[Axis, IntArray] = {}
    frozen = []
    for home in homes:
        found = labels.axes[home]
        if (found != NEVER).any():
            axes[home] = numbers(found)
        if home in labels.reasons:
            frozen.append(Frozen(*home, int((found == NEVER).sum()), labels.reasons[home]))
    operations = tuple(
        Operation(o.module, o.kind, o.weight, *_along(o.macs, [numbers(a) for a in o.along])) for o in labels.operations
    )
    layers = tuple(
        Layer(one.module, one.kind, one.inputs, one.weight, one.shape, _units(one, numbers)) for one in labels.layers
    )
    outputs = tuple(replace(one, dtype=_dtype(one, specs), units=_units(one, numbers)) for one in labels.outputs)
    attributes = {key: numbers(found) for key, found in labels.attributes.items()}
    attributes = {key: found for key, found in attributes.items() if (found != NEVER).any()}
    return Plan(axes, specs, operations, tuple(frozen), aliases, attributes, layers, outputs)


def _dtype(output: Output, specs: Mapping[str, TensorSpec]) -> str:
    """Return the dtype of an output in the network itself; a trace runs in float32."""
    floats = (spec.dtype for spec in specs.values() if spec.is_parameter and spec.dtype[0] in "FB")
    return next(floats, output.dtype) if output.dtype == "F32" else output.dtype


def _units(layer: Layer | Output, numbers: "_Numbers") -> dict[int, IntArray]:
    found = {dim: numbers(labels) for dim, labels in layer.units.items()}
    return {dim: labels for dim, labels in found.items() if (labels != NEVER).any()}


def _along(macs: int, axes: list[IntArray]) -> tuple[int, tuple[tuple[int, ...], ...]]:
    """Return macs for each combination of positions, with axes that never lose anything within them."""
    kept = []
    for labels in axes:
        if (labels == NEVER).all():
            macs *= len(labels)
        else:
            times = _repeats(labels)
            macs *= times
            kept.append(tuple(np.sort(labels)[::times].tolist()))
    return macs, tuple(kept)


def _repeats(labels: IntArray) -> int:
    """Return how often every label is there, 1 unless it is the same for all."""
    counts = np.unique(labels, return_counts=True)[1]
    return int(np.gcd.reduce(counts))


class _Numbers:
    """A table from the labels of a source to units: NEVER for those that are on no axis of the state."""

    def __init__(self, axes: list[IntArray]) -> None:
        every = np.concatenate([np.empty(0, np.int64), *axes])
        labels, first = np.unique(every[every != NEVER], return_index=True)
        self.table = np.full(int(labels[-1]) + 3 if len(labels) else 1, NEVER, np.int64)  # by label + 1
        self.table[labels[np.argsort(first)] + 1] = np.arange(len(labels))

    def __call__(self, labels: IntArray) -> IntArray:
        return np.take(self.table, labels + 1, mode="clip")
