"""Gated: a network whose channels are multiplied by gates, without a line of its code being changed.

A gate stands where a channel is read: a layer that mixes channels has its weight's columns multiplied by the gates of
what they read, which is to multiply the channel itself behind its norm and its activation. A closed gate therefore
takes out exactly what a cut of the plan would, through sums, concatenations and whatever else lies in between, and one
gate serves all places of a unit. Units that no such layer reads are gated where they are made.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from elastic.gates.opening import Gates
from elastic.plan import NEVER, IntArray, Plan
from elastic.roles import made_axes, read_axes

LEAST = 8  # images of a part, for norms


class Gated(nn.Module):
    """A network with one gate for each unit of its plan."""

    def __init__(self, network: nn.Module, plan: Plan, gates: Gates, *, draws: int = 1) -> None:
        """Take over the network and the gates; a batch is trained on in `draws` parts, with gates drawn for each."""
        super().__init__()
        self.network, self.gates = network, gates
        self.draws = draws
        self.is_soft = False  # whether gates are as far open in eval mode as in training, but without noise
        self.places = places_of(plan)
        self._labels: dict[str, Tensor] = {}

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """Return what the network makes with its gates as far open as they are.

        In training each of the `draws` parts of a batch has gates of its own, and statistics of its own in norms: what
        a gate learns is then told from noise in fewer steps.
        """
        if self.training and self.draws > 1 and len(inputs) == 1 and not named:
            parts = inputs[0].tensor_split(min(self.draws, len(inputs[0]) // LEAST))
            return torch.cat([self.made(self.gates(), (part,), {}) for part in parts])
        opened = self.gates.soft() if self.is_soft and not self.training else self.gates()
        return self.made(opened, inputs, named)

    def made(self, opened: Tensor, inputs: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Return what the network makes of inputs with gates [units] so far open."""
        return functional_call(self.network, self.weights(opened), inputs, named)

    def weights(self, opened: Tensor) -> dict[str, Tensor]:
        """Return the weights of what reads channels, multiplied by gates [units]."""
        own = dict(self.network.named_parameters(remove_duplicate=False))
        with_never = torch.cat([opened, opened.new_ones(1)])  # label -1 picks the last
        found: dict[str, Tensor] = {}
        for name, axes in self.places.items():
            tensor: Tensor = own[name]
            for axis, labels in axes.items():
                scale = with_never[self._on(name, axis, labels, opened.device)]
                tensor = tensor * scale.to(tensor.dtype).view([-1 if a == axis else 1 for a in range(tensor.dim())])
            found[name] = tensor
        return found

    def _on(self, name: str, axis: int, labels: IntArray, device: torch.device) -> Tensor:
        key = f"{name}/{axis}/{device}"
        if key not in self._labels:
            self._labels[key] = torch.from_numpy(labels).to(device)
        return self._labels[key]


def places_of(plan: Plan) -> dict[str, Mapping[int, IntArray]]:
    """Return along which axes of which tensors gates stand, with the unit of each position; NEVER is always open."""
    reading = read_axes(plan)
    found: dict[str, dict[int, IntArray]] = {
        name: {axis: plan.axes_of_tensor[name][axis]} for name, axis in reading.items()
    }
    read = np.zeros(plan.units + 1, np.bool_)  # label -1 picks the last
    for axes in found.values():
        for labels in axes.values():
            read[labels] = True
    if read[:-1].all():
        return dict(found)
    for name, axis in made_axes(plan).items():
        bias = f"{name.rpartition('.')[0]}.bias"
        for own, along in ((name, axis), (bias, 0)):
            made = plan.axes_of_tensor.get(own, {}).get(along)
            if made is not None and not read[made[made != NEVER]].all():
                found.setdefault(own, {})[along] = np.where(read[made], NEVER, made)
    return dict(found)
