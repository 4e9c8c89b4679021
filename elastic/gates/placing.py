"""Placing: where numbers that units are multiplied by stand in a network, without a line of its code being changed.

Where a channel is read, a layer that mixes channels has its weight's columns multiplied, which is to multiply the
channel itself behind its norm and its activation. A zero therefore takes out exactly what a cut of the plan would,
through sums, concatenations and whatever else lies in between, and one number serves all places of a unit.

Where a channel is made, the rows of the weights that make it are multiplied. A norm behind them undoes any scale but
zero, which it makes a constant: this is for comparison with what was published so.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from elastic.plan import NEVER, BoolArray, IntArray, Plan
from elastic.roles import made_axes, read_axes

Places = Mapping[str, Mapping[int, IntArray]]  # the unit of each position, by a tensor's name and its axis


class Placed:
    """Numbers of units at their places."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self._labels: dict[str, Tensor] = {}

    def weights(self, network: nn.Module, numbers: Tensor) -> dict[str, Tensor]:
        """Return the weights at these places, multiplied by numbers [units]."""
        own = dict(network.named_parameters(remove_duplicate=False))
        with_never = torch.cat([numbers, numbers.new_ones(1)])  # label -1 picks the last
        found: dict[str, Tensor] = {}
        for name, axes in self.places.items():
            tensor: Tensor = own[name]
            for axis, labels in axes.items():
                scale = with_never[self._on(name, axis, labels, numbers.device)]
                tensor = tensor * scale.to(tensor.dtype).view([-1 if a == axis else 1 for a in range(tensor.dim())])
            found[name] = tensor
        return found

    def _on(self, name: str, axis: int, labels: IntArray, device: torch.device) -> Tensor:
        key = f"{name}/{axis}/{device}"
        if key not in self._labels:
            with torch.inference_mode(False):  # or no gradient could go through them later
                self._labels[key] = torch.from_numpy(labels).to(device)
        return self._labels[key]


def reading_places(plan: Plan) -> Places:
    """Return where units are read; those that no layer reads have their places where they are made."""
    found: dict[str, dict[int, IntArray]] = {
        name: {axis: plan.axes_of_tensor[name][axis]} for name, axis in read_axes(plan).items()
    }
    read = np.zeros(plan.units + 1, np.bool_)  # label -1 picks the last
    for axes in found.values():
        for labels in axes.values():
            read[labels] = True
    if not read[:-1].all():
        for name, axis, labels in _made(plan, read):
            found.setdefault(name, {})[axis] = labels
    return dict(found)


def making_places(plan: Plan) -> Places:
    """Return where units are made: rows of weights, and the biases that belong to them."""
    found: dict[str, dict[int, IntArray]] = {}
    for name, axis, labels in _made(plan, np.zeros(plan.units + 1, np.bool_)):
        found.setdefault(name, {})[axis] = labels
    return dict(found)


def _made(plan: Plan, done: BoolArray) -> Iterator[tuple[str, int, IntArray]]:
    """Yield where units are made, but for those that are done."""
    for name, axis in made_axes(plan).items():
        bias = f"{name.rpartition('.')[0]}.bias"
        for own, along in ((name, axis), (bias, 0)):
            made = plan.axes_of_tensor.get(own, {}).get(along)
            if made is not None and not done[made[made != NEVER]].all():
                yield own, along, np.where(done[made], NEVER, made)
