"""Freezing: part of a parameter stays what it was, bit for bit, whatever an optimiser makes of the rest.

An optimiser changes a parameter as a whole: weight decay and momentum move what has no gradient. So after each step
the values that are to stay are put back; element by element optimisers then never see them move.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from elastic.cutting import State, put
from elastic.metadata import core_target
from elastic.plan import LevelArray
from elastic.training import Hook


@dataclass(eq=False)
class Frozen:
    """A parameter, where it stays [its shape], and as what."""

    parameter: nn.Parameter
    stays: Tensor
    value: Tensor

    @torch.no_grad()
    def put_back(self) -> None:
        """Change the parameter to be what it was where it stays."""
        if self.stays.device != self.parameter.device:
            self.stays, self.value = self.stays.to(self.parameter.device), self.value.to(self.parameter.device)
        self.parameter.copy_(torch.where(self.stays, self.value, self.parameter))


@dataclass(eq=False)
class StayingPut(Hook):
    """Puts back what is frozen after every step."""

    frozen: Sequence[Frozen]

    def after_step(self) -> None:
        """Put it back."""
        for each in self.frozen:
            each.put_back()


Positions = Mapping[str, Mapping[int, LevelArray]]  # the levels of each axis of each tensor


@torch.no_grad()
def put_inside(network: nn.Module, core: State, names: Sequence[str], positions: Positions, level: int) -> None:
    """Change a level's network: of these parameters, the part of the level below becomes that of its state dict."""
    for name, parameter in network.named_parameters():
        if name in names:
            put(parameter.data, core_target(positions.get(name, {}), level), core[name].to(parameter.dtype))


def frozen_core(network: nn.Module, names: Sequence[str], positions: Positions, level: int) -> list[Frozen]:
    """Return what has to stay of a level's network for the level below it to stay: its part of these parameters."""
    found = []
    for name, parameter in network.named_parameters():
        if name in names:
            stays = torch.ones(parameter.shape, dtype=torch.bool)
            for axis, old in core_target(positions.get(name, {}), level).items():
                along = torch.zeros(parameter.shape[axis], dtype=torch.bool)
                along[torch.from_numpy(old)] = True
                shape = [-1 if other == axis else 1 for other in range(parameter.dim())]
                stays &= along.view(shape)
            found.append(Frozen(parameter, stays, parameter.detach().clone()))
    return found


def differing(core: State, grown: State, names: Sequence[str]) -> list[str]:
    """Return which of these tensors of a level are not what they were, given the same level cut from a larger one."""
    return [name for name in names if not torch.equal(core[name], grown[name])]
