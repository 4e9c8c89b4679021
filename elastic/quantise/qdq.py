"""QDQ: a quantised network in the operations of ONNX that quantise and dequantise, for the exporter to write.

Weights and inputs are both uint8, those with signs around 128: where a processor has no dot products of bytes,
onnxruntime's kernels for unsigned inputs and signed weights add pairs in 16 bits and saturate; those for two unsigned
ones don't. Levels that bytes have and the network has not are clipped off first. Biases of a network that is aligned
are int32, in steps of the sums, as these kernels add them.
"""

from typing import Any

import torch
from torch import Tensor, nn

from elastic.quantise.activations import InputQuantiser
from elastic.quantise.aligning import in_steps, plan_of_floats, sum_steps
from elastic.quantise.folding import folded
from elastic.quantise.layers import MIXED, QuantisedLayer, mixed_into_all, quantised_layers

MIDDLE = 128  # the byte that stands for zero, where there are signs
VERSION = 13  # of the operations: the first with a step for each channel


class QdqLayer(QuantisedLayer):
    """A layer whose weight is bytes; mixed in place of `QuantisedLayer`. Only an exporter can run it."""

    size: Tensor  # of a step of the inputs
    zero: Tensor
    sizes: Tensor  # of steps of the weights [out]
    zeros: Tensor
    sum_sizes: Tensor  # of steps of the sums [out], if the bias is in whole steps of these
    ends: tuple[float, float] | None  # beyond which inputs are clipped; None where bytes end too

    def forward(self, inputs: Tensor) -> Tensor:
        """Return what the layer makes of dequantised inputs and weights."""
        if self.ends is not None:
            inputs = inputs.clamp(*self.ends)
        numbers = _symbol("QuantizeLinear", (inputs, self.size, self.zero), torch.uint8, inputs.shape)
        inputs = _symbol("DequantizeLinear", (numbers, self.size, self.zero), torch.float32, inputs.shape)
        shape = self.weight.shape
        weight = _symbol("DequantizeLinear", (self.weight, self.sizes, self.zeros), torch.float32, shape, axis=0)
        bias = self.bias
        if bias is not None and not bias.is_floating_point():
            inputs_of = (bias, self.sum_sizes, torch.zeros_like(bias))
            bias = _symbol("DequantizeLinear", inputs_of, torch.float32, bias.shape, axis=0)
        return self.through(inputs, weight, bias)


QDQ = {MIXED[kind]: made for kind, made in mixed_into_all(QdqLayer, "Qdq").items()}


def is_quantised(network: nn.Module) -> bool:
    """Return whether a network has quantised layers."""
    return any(type(module) in QDQ for module in network.modules())


@torch.no_grad()
def as_qdq(network: nn.Module, example: Tensor) -> nn.Module:
    """Return a quantised network in operations of ONNX, its norms folded; only an exporter can run it.

    Raises NotQuantised, and what `trace` raises but for there being nothing to prune.
    """
    found = folded(network, plan_of_floats(network, example), example)
    for layer in quantised_layers(found).values():
        numbers = layer.weight_quantiser.levels(layer.weight)
        steps = layer.weight_quantiser.steps(layer.weight)
        inputs = layer.input_quantiser
        middle = torch.tensor(MIDDLE if inputs.lowest else 0, dtype=torch.uint8)
        own: Any = layer
        if layer.bias is not None:
            sums = sum_steps(layer)
            whole = in_steps(layer.bias, sums)
            if whole is not None:
                del layer.bias
                layer.register_buffer("bias", whole)
                layer.register_buffer("sum_sizes", sums)
        own.ends = None if (inputs.lowest, inputs.highest) == (0, 255) else _ends(inputs)
        del layer.weight, layer.weight_quantiser
        layer.register_buffer("weight", (numbers.int() + MIDDLE).to(torch.uint8))
        layer.register_buffer("sizes", steps)
        layer.register_buffer("zeros", torch.full(steps.shape, MIDDLE, dtype=torch.uint8))
        layer.register_buffer("size", inputs.step())
        layer.register_buffer("zero", middle)
        own.__class__ = QDQ[type(layer)]
    return found


def _ends(inputs: InputQuantiser) -> tuple[float, float]:
    size = float(inputs.step())
    return inputs.lowest * size, inputs.highest * size


def _symbol(name: str, inputs: tuple[Tensor, ...], dtype: torch.dtype, shape: Any, **attributes: int) -> Tensor:
    return torch.onnx.ops.symbolic(name, inputs, dict(attributes), dtype=dtype, shape=shape, version=VERSION)
