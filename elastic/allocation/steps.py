"""Steps: the widths that a latency table shows to be fast."""

import numpy as np

from elastic.allocation.bounds import Room
from elastic.allocation.sums import Sums

WIDTHS = 8  # that a group keeps to choose from: its step is halved until it has so many


def in_steps(room: Room, sums: Sums) -> Room:
    """Return room in which widths are multiples of what is fast on the axes of each group; the same without a table."""
    if sums.timed is None:
        return room
    steps, of_axis = room.step.copy(), sums.timed.steps()
    positions = np.zeros((len(of_axis), len(steps)), np.int64)
    np.add.at(positions, (sums.axes, sums.plan.group_of_unit[sums.units]), 1)
    for axis, number in zip(*positions.nonzero(), strict=True):
        units = len(sums.plan.groups[number].units)
        per_unit = max(1, positions[axis, number] // units)
        step = int(of_axis[axis] // np.gcd(of_axis[axis], per_unit))
        while step > 1 and step * WIDTHS > units:
            step //= 2
        steps[number] = np.lcm(steps[number], step) if step * WIDTHS <= units else steps[number]
    least = np.minimum(room.most, -(-room.least // steps) * steps)
    return Room(least, room.most, steps)
