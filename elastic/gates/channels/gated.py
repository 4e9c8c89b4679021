"""Gated: a network whose channels are multiplied by gates, without a line of its code being changed.

A gate stands where a channel is read (`elastic/gates/placing.py`): a closed one takes out exactly what a cut of the
plan would.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from elastic.gates.opening import Gates
from elastic.gates.placing import Placed, reading_places
from elastic.plan import Plan

LEAST = 8  # images of a part, for norms


class Gated(nn.Module):
    """A network with one gate for each unit of its plan."""

    def __init__(self, network: nn.Module, plan: Plan, gates: Gates, *, draws: int = 1) -> None:
        """Take over the network and the gates; a batch is trained on in `draws` parts, with gates drawn for each."""
        super().__init__()
        self.network, self.gates = network, gates
        self.draws = draws
        self.is_soft = False  # whether gates are as far open in eval mode as in training, but without noise
        self.placed = Placed(reading_places(plan))

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
        return self.placed.weights(self.network, opened)
