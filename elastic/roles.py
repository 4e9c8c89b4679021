"""Roles: along which axis of a layer's weight the channels lie that it makes, and along which those that it reads."""

import numpy as np

from elastic.plan import Plan


def made_axes(plan: Plan) -> dict[str, int]:
    """Return, by the weight's name, the axis of the channels that a layer makes, where some of them can leave.

    Layers that only change channels one by one (depthwise) are left out: they make nothing new.
    """
    found: dict[str, int] = {}
    made: set[int] = set()
    for name, axis in output_axes(plan).items():
        along = plan.axes_of_tensor.get(name, {})
        units = set(along[axis].tolist()) if axis in along else set()
        if units and (1 - axis in along or not units <= made):
            found[name] = axis
        made |= units
    return found


def read_axes(plan: Plan) -> dict[str, int]:
    """Return, by the weight's name, the axis of the channels that a layer mixes, where some of them can leave."""
    outputs = output_axes(plan)
    return {name: 1 - axis for name, axis in outputs.items() if 1 - axis in plan.axes_of_tensor.get(name, {})}


def output_axes(plan: Plan) -> dict[str, int]:
    """Return the axis of the outputs of each weight, in forward order: 0, or 1 where a convolution is transposed."""
    transposed = {
        layer.weight
        for layer in plan.layers
        if layer.weight is not None and (along := plan.axes_of_tensor.get(layer.weight, {})).keys() >= {1}
        for labels in layer.units.values()
        if np.array_equal(along[1], labels) and not (0 in along and np.array_equal(along[0], labels))
    }
    weights = dict.fromkeys(operation.weight for operation in plan.operations if operation.weight is not None)
    return {name: int(name in transposed) for name in weights}
