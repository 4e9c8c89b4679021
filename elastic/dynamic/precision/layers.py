"""Layers: convolutions that use the low bits of their inputs where a gate is open.

Inputs of b bits are split: the high ones make a prediction, and where it is above the threshold of its channel the low
ones are added. A layer keeps its own class, into which this is mixed; the quantisers are those of `elastic.quantise`.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from elastic.dynamic.counting import Counter, Spent
from elastic.dynamic.opening import chosen, column, opened, pooled
from elastic.dynamic_gating import PrecisionGating
from elastic.errors import NothingToGate
from elastic.quantise.activations import InputQuantiser
from elastic.quantise.layers import RoundingLayer, mixed_into_all
from elastic.quantise.weights import WeightQuantiser


class PrecisionGate(nn.Module):
    """From predictions [n, out, ..] to gates: the thresholds."""

    def __init__(self, layer: nn.Module, gating: PrecisionGating) -> None:
        """Begin. Costs are operations of bits: products of a bit of a weight and one of an input."""
        super().__init__()
        own: Any = layer
        weight: Tensor = own.weight
        self.gating = gating
        self.threshold = nn.Parameter(weight.new_full((own.out_channels,), gating.begin))
        macs = weight[0].numel()
        cost = macs * gating.weight_bits
        self.counter = Counter(cost * gating.prediction_bits, cost * gating.bits, macs).to(weight.device)

    def forward(self, predicted: Tensor) -> Tensor:
        """Return the gates, [n, out, ..] or with 1 along some axes."""
        gating = self.gating
        scores = pooled(predicted - column(self.threshold, predicted), gating.granularity, gating.block)
        gates = opened(scores, gating.slope, gating.sparse_back_propagation)
        self.counter(gates, predicted.shape)
        return gates

    def drawn(self) -> Tensor:
        """Return the distance of thresholds from their target, summed."""
        return (self.threshold - self.gating.target).abs().sum()


class PrecisionGated(RoundingLayer):
    """What is mixed into a convolution."""

    gate: PrecisionGate

    def forward(self, inputs: Tensor) -> Tensor:
        """Return what all bits of the inputs make where gates are open, what the high ones make elsewhere."""
        own: Any = self
        weight, values = self.weight_quantiser(self.weight), self.input_quantiser(inputs)
        full: Tensor = own._conv_forward(values, weight, self.bias)
        predicted: Tensor = own._conv_forward(self.high_bits(values), weight, self.bias)
        return chosen(full, predicted, self.gate(predicted))

    def high_bits(self, values: Tensor) -> Tensor:
        """Return values of b bits without their low bits, cut off towards zero; gradients go straight through.

        With a sign it is one of the high bits.
        """
        step = self.input_quantiser.step().detach().to(values.dtype)
        low = 2 ** (self.gate.gating.bits - self.gate.gating.prediction_bits)
        with torch.no_grad():
            # Values are multiples of the step to rounding, so they are rounded before they are cut.
            cut = (values / step).round().div(low).trunc() * low * step - values
        high: Tensor = values + cut
        return high


MIXED = mixed_into_all(PrecisionGated, "PrecisionGated")


def precision_gates(network: nn.Module) -> dict[str, PrecisionGated]:
    """Return the layers with precision gates, by name. Raises NothingToGate if there are none."""
    found = {name: module for name, module in network.named_modules() if isinstance(module, PrecisionGated)}
    if not found:
        raise NothingToGate(f"{type(network).__name__} has no precision gates; give it to `precision_gated` first")
    return found


def average_bits(network: nn.Module, spent: Mapping[str, Spent]) -> float:
    """Return the mean bits of the inputs of gated layers, over MACs: b_h + (1 - Sp)(b - b_h)."""
    gates = precision_gates(network)
    macs = {name: spent[name].positions * layer.gate.counter.macs for name, layer in gates.items()}
    found = 0.0
    for name, layer in gates.items():
        gating = layer.gate.gating
        low = gating.bits - gating.prediction_bits
        found += macs[name] * (gating.prediction_bits + spent[name].open_share * low)
    return found / sum(macs.values())


def put_gate(layer: nn.Module, gating: PrecisionGating, inputs: InputQuantiser, weights: WeightQuantiser) -> None:
    """Change a convolution to one with gates."""
    gate = PrecisionGate(layer, gating)
    layer.__class__ = MIXED[type(layer)]
    assert isinstance(layer, PrecisionGated)
    layer.gate, layer.input_quantiser, layer.weight_quantiser = gate, inputs, weights


def take_gate(layer: nn.Module) -> None:
    """Change a convolution with gates to a plain one with the weights that it had, not rounded."""
    layer.__class__ = next(kind for kind, mixed in MIXED.items() if type(layer) is mixed)
    del layer.gate, layer.input_quantiser, layer.weight_quantiser
