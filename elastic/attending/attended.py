"""Attended: a network whose channels are multiplied by attention, one number of at least 0 for each unit of a plan.

Attention stands where gates do, behind norms, or before them, where it was published: filters are multiplied, and the
next norm undoes that.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from elastic.errors import PlanMismatch
from elastic.gates.placing import Placed, making_places, reading_places
from elastic.plan import Plan


class Attention(nn.Module):
    """Attention to each unit; what is 0 is closed, and stays so."""

    lived: Tensor

    def __init__(self, values: Tensor) -> None:
        """Take values [units], all above 0. Raises PlanMismatch for others."""
        super().__init__()
        if not bool((values > 0).all()):
            raise PlanMismatch(f"attention begins above 0, but {int((values <= 0).sum())} of {len(values)} is not")
        self.values = nn.Parameter(values.clone())
        self.register_buffer("lived", torch.zeros_like(values))  # steps in which each was above 0

    @property
    def is_open(self) -> Tensor:
        """Whether each is above 0, [units]."""
        return self.values.detach() > 0

    def forward(self) -> Tensor:
        """Return the attention to each unit, [units]."""
        return self.values


class Attended(nn.Module):
    """A network with attention to the units of its plan."""

    def __init__(self, network: nn.Module, plan: Plan, attention: Attention, *, before_norm: bool = False) -> None:
        """Take over the network and the attention; the network then makes something else, unless attention is 1."""
        super().__init__()
        self.network, self.attention = network, attention
        self.placed = Placed(making_places(plan) if before_norm else reading_places(plan))

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """Return what the network makes with this attention, in training and else."""
        return functional_call(self.network, self.placed.weights(self.network, self.attention()), inputs, named)

    @torch.no_grad()
    def balance(self, before: Tensor) -> None:
        """Change the weights so that open units have the part that they had with attention of `before` [units]."""
        values = self.attention.values
        factors = torch.where(self.attention.is_open, before / values, 1.0)
        for name, weight in self.placed.weights(self.network, factors).items():
            self.network.get_parameter(name).copy_(weight)

    @torch.no_grad()
    def absorbed(self) -> dict[str, Tensor]:
        """Return the state dict of the network with its attention in the weights: it makes the same without any."""
        state = dict(self.network.state_dict())
        weights = self.placed.weights(self.network, self.attention.values)
        first = {id(tensor): weights[name] for name, tensor in self.network.named_parameters() if name in weights}
        for name, tensor in self.network.named_parameters(remove_duplicate=False):
            state[name] = first.get(id(tensor), state[name])  # a tied weight has several names
        return state
