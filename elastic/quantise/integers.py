"""Integers: the network as hardware for it computes, whole numbers until a layer's sum, one product with a step each.

Sums of products of levels are whole numbers under 2^31 and therefore exact in float64, in whatever order they are
summed: that is how they are computed here, in every shape, stride and group that torch has, and then kept as int32.
"""

from typing import Any

import torch
from torch import Tensor, nn

from elastic.errors import InvalidBits
from elastic.quantise.layers import MIXED, QuantisedLayer, mixed_into_all, quantised_layers
from elastic.quantise.network import settled

MOST = 2**31 - 1


class IntegerLayer(QuantisedLayer):
    """A layer whose weight is int8; mixed in place of `QuantisedLayer`."""

    step: Tensor  # [out], of the sums

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the sums times their steps, and the bias."""
        return self.scaled(self.sums(self.input_quantiser.levels(inputs)).to(self.step.dtype), self.step)

    def sums(self, inputs: Tensor) -> Tensor:
        """Return the sums of products of levels, int32, given the levels of the inputs."""
        return self.through(inputs.double(), self.weight.double(), None).to(torch.int32)


INTEGER = {MIXED[kind]: integer for kind, integer in mixed_into_all(IntegerLayer, "Integer").items()}


@torch.no_grad()
def in_integers(network: nn.Module) -> nn.Module:
    """Return a copy of a quantised network whose layers compute in whole numbers, in eval mode.

    State dicts keep the names of the weights, which are int8 now. Raises NotQuantised, and InvalidBits for a layer
    whose sums may not fit into 32 bits.
    """
    found = settled(network)
    for name, layer in quantised_layers(found).items():
        numbers = layer.weight_quantiser.levels(layer.weight)
        _check_fits(name, layer, numbers)
        own: Any = layer
        steps = layer.weight_quantiser.steps(layer.weight) * layer.input_quantiser.step()
        del layer.weight, layer.weight_quantiser
        layer.register_buffer("weight", numbers)
        layer.register_buffer("step", steps)
        own.__class__ = INTEGER[type(layer)]
    return found


def integer_layers(network: nn.Module) -> dict[str, IntegerLayer]:
    """Return the layers that compute in whole numbers, by name."""
    return {name: module for name, module in network.named_modules() if isinstance(module, IntegerLayer)}


def _check_fits(name: str, layer: QuantisedLayer, numbers: Tensor) -> None:
    most = int(numbers.long().abs().flatten(1).sum(1).max()) * layer.input_quantiser.highest
    if most > MOST:
        raise InvalidBits(f"sums of {name} may come to {most}, more than 32 bits hold; give it fewer bits")
