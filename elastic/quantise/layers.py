"""Layers: convolutions and linear layers that round their inputs and weights; names of weights stay.

A layer keeps its own class, into which this is mixed, so that weights, biases and all that goes by the kind of a layer
are as before. Only what quantisers hold is new in the state dict.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from elastic.errors import NotQuantised
from elastic.quantise.activations import InputQuantiser
from elastic.quantise.bits import Bits
from elastic.quantise.weights import WeightQuantiser

PLAIN: tuple[type[nn.Module], ...] = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)  # exactly these, no classes of theirs


class RoundingLayer(nn.Module):
    """What all layers have that round their inputs and their weights, whatever else they do."""

    input_quantiser: InputQuantiser
    weight_quantiser: WeightQuantiser
    weight: Tensor
    bias: Tensor | None

    @property
    def bits(self) -> Bits:
        """The bits of its weights and of its inputs."""
        return Bits(self.weight_quantiser.bits, self.input_quantiser.bits)


class QuantisedLayer(RoundingLayer):
    """What is mixed into a layer; `through` is the layer's own function of inputs, weight and bias."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Return what the layer makes of rounded inputs with rounded weights.

        Where no gradient is asked for, whole numbers are summed, and their sums multiplied by their step once: floats
        hold them exactly up to 2^24, so that this is the integer path's result. A sum of products of floats is off in
        its last bits, which takes what lies in the middle between two levels of the next layer to either.
        """
        if torch.is_grad_enabled() or self.training:
            return self.through(self.input_quantiser(inputs), self.weight_quantiser(self.weight), self.bias)
        sums = self.through(self.input_quantiser.whole(inputs), self.weight_quantiser.whole(self.weight), None)
        step = self.weight_quantiser.steps(self.weight) * self.input_quantiser.step()
        return self.scaled(sums, step.to(sums.dtype))

    def scaled(self, sums: Tensor, step: Tensor) -> Tensor:
        """Return sums of whole numbers times their step [out], and the bias."""
        made = sums * self._along_channels(step)
        return made if self.bias is None else made + self._along_channels(self.bias)

    def _along_channels(self, values: Tensor) -> Tensor:
        own: Any = self
        return values if isinstance(own, nn.Linear) else values.view(-1, *[1] * (self.weight.dim() - 2))

    def through(self, inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return what the layer makes with this weight and bias."""
        own: Any = self
        return F.linear(inputs, weight, bias) if isinstance(own, nn.Linear) else own._conv_forward(inputs, weight, bias)


def mixed_into_all(mixin: type[nn.Module], prefix: str) -> dict[type[nn.Module], type[nn.Module]]:
    """Return a class for each kind of plain layer with this mixed into it."""
    return {kind: type(f"{prefix}{kind.__name__}", (mixin, kind), {"__module__": mixin.__module__}) for kind in PLAIN}


MIXED = mixed_into_all(QuantisedLayer, "Quantised")


def plain_layers(network: nn.Module) -> dict[str, nn.Module]:
    """Return the layers that can be quantised, by name."""
    return {name: module for name, module in network.named_modules() if type(module) in PLAIN}


def quantised_layers(network: nn.Module) -> dict[str, QuantisedLayer]:
    """Return the layers that are quantised, by name. Raises NotQuantised if none is."""
    found = {name: module for name, module in network.named_modules() if isinstance(module, QuantisedLayer)}
    if not found:
        raise NotQuantised(f"{type(network).__name__} has no quantised layers; give it to `quantised` first")
    return found


def rounding_layers(network: nn.Module) -> dict[str, RoundingLayer]:
    """Return the layers that round, quantised or with more to them, by name; none if no layer does."""
    return {name: module for name, module in network.named_modules() if isinstance(module, RoundingLayer)}


def left_float(network: nn.Module) -> dict[str, str]:
    """Return the kinds of the layers with weights of more than one axis that are not quantised, by name."""
    return {
        name: type(module).__name__
        for name, module in network.named_modules()
        if not isinstance(module, QuantisedLayer)
        and any(p.dim() > 1 for p in module._parameters.values() if p is not None)
    }


def put_quantisers(layer: nn.Module, inputs: InputQuantiser, weights: WeightQuantiser) -> None:
    """Change a plain layer to one that rounds."""
    layer.__class__ = MIXED[type(layer)]
    layer.input_quantiser, layer.weight_quantiser = inputs, weights


def take_quantisers(layer: nn.Module) -> None:
    """Change a layer that rounds to a plain one with the weights that it had, not rounded."""
    layer.__class__ = next(kind for kind, mixed in MIXED.items() if type(layer) is mixed)
    del layer.input_quantiser, layer.weight_quantiser
