"""Gated by its input: a network in which each image has gates of its own, decided by what the network sees of it.

The gates of a group are decided where its channels are first made: the layer's input, averaged over space, goes through
two small linear layers to one logit for each unit. They are applied where channels are read, like gates that are the
same for all images, and drawn with straight-through gradients (Bengio et al., arXiv:1308.3432). What is closed is
multiplied by zero, so costs are counted, not saved.
"""

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from elastic.errors import PlanMismatch
from elastic.plan import NEVER, IntArray, Plan
from elastic.roles import made_axes, read_axes

KINDS = (nn.Linear, nn.modules.conv._ConvNd)


class Decider(nn.Module):
    """From what a layer reads of each image to a logit for each unit of a group."""

    def __init__(self, inputs: int, hidden: int, units: int, begin: float) -> None:
        """Decide the same for all images at first."""
        super().__init__()
        self.first, self.last = nn.Linear(inputs, hidden), nn.Linear(hidden, units)
        nn.init.normal_(self.last.weight, std=1e-2)
        nn.init.constant_(self.last.bias, begin)

    def forward(self, features: Tensor) -> Tensor:
        """Return logits [n, units] of features [n, inputs]."""
        logits: Tensor = self.last(torch.relu(self.first(features)))
        return logits


class AdaptiveGated(nn.Module):
    """A network with gates for each unit and image; after each run `soft` and `hard` [n, units] say what they were."""

    soft: Tensor  # probabilities of being open
    hard: Tensor  # whether they are

    def __init__(self, network: nn.Module, plan: Plan, *, hidden: int = 16, begin: float = 2.0) -> None:
        """Take over the network. Raises PlanMismatch if none of its layers can be gated."""
        super().__init__()
        self.network, self.groups, self.units = network, plan.groups, plan.units
        modules = {f"{name}.weight": each for name, each in network.named_modules() if isinstance(each, KINDS)}
        readers = {name: axis for name, axis in read_axes(plan).items() if name in modules}
        for name, axis in readers.items():  # first of all: deciders see what is left of what they read
            labels = plan.axes_of_tensor[name][axis]
            groups = getattr(modules[name], "groups", 1)
            modules[name].register_forward_pre_hook(partial(self._read, np.tile(labels, groups)))
        read = {int(unit) for name, axis in readers.items() for unit in plan.axes_of_tensor[name][axis]}
        self.deciders = nn.ModuleDict()
        self.biases: list[nn.Parameter] = []  # of logits
        for name, axis in made_axes(plan).items():
            if name not in modules:
                continue
            made = set(plan.group_of_unit[[u for u in plan.axes_of_tensor[name][axis].tolist() if u != NEVER]].tolist())
            for number in sorted(made):
                units = plan.groups[number].units
                if str(number) not in self.deciders and set(np.asarray(units).tolist()) <= read:
                    inputs = _inputs(modules[name])
                    decider = Decider(inputs, hidden, len(units), begin)
                    self.deciders[str(number)] = decider
                    self.biases.append(decider.last.bias)
                    modules[name].register_forward_pre_hook(partial(self._decide, number))
        if not self.deciders:
            raise PlanMismatch("no linear layer or convolution of this network reads channels that can be gated")

    def forward(self, images: Tensor) -> Any:
        """Return what the network makes of images [n, ..], each with its own gates."""
        count = len(images)
        self.soft = images.new_ones(count, self.units)
        self.hard = images.new_ones(count, self.units)
        self._opened = images.new_ones(count, self.units + 1)  # label -1 picks the last
        return self.network(images)

    def _decide(self, number: int, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        logits = self.deciders[str(number)](_pooled(module, inputs[0])).to(self.soft.dtype)
        soft = torch.sigmoid(logits)
        best = torch.zeros_like(soft).scatter_(1, logits.argmax(1, keepdim=True), 1.0)  # one stays open in any case
        hard = torch.maximum(best, torch.bernoulli(soft) if self.training else (logits > 0).to(soft.dtype)).detach()
        units = torch.as_tensor(np.asarray(self.groups[number].units), device=soft.device)
        self.soft = self.soft.index_copy(1, units, soft)
        self.hard = self.hard.index_copy(1, units, hard)
        self._opened = self._opened.index_copy(1, units, soft + (hard - soft).detach())

    def _read(self, labels: IntArray, module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        first, *others = inputs
        gates = self._opened[:, torch.from_numpy(labels).to(first.device)].to(first.dtype)  # [n, channels]
        if isinstance(module, nn.Linear):
            shape = (len(gates), *[1] * (first.dim() - 2), gates.shape[1])
        else:
            shape = (*gates.shape, *[1] * (first.dim() - 2))
        return first * gates.view(shape), *others


def _inputs(module: nn.Module) -> int:
    found: Any = module.in_features if isinstance(module, nn.Linear) else module.in_channels
    return int(found)


def _pooled(module: nn.Module, inputs: Tensor) -> Tensor:
    """Return the mean of each channel, [n, channels]."""
    if isinstance(module, nn.Linear):
        return inputs.flatten(1, -2).mean(1) if inputs.dim() > 2 else inputs
    return inputs.flatten(2).mean(2)
