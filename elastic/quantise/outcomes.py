"""Outcomes: what a level came to in few bits, as plain numbers: accuracy, bytes, and the ranges of its layers."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from elastic.quantise.layers import QuantisedLayer, left_float, quantised_layers
from elastic.training import Epoch


@dataclass(frozen=True)
class LayerOutcome:
    """A layer in few bits, or one that was left in floats: then it has no ranges."""

    name: str
    bits: str  # W8A8, or float
    bytes_of_floats: int  # of its weight
    bytes: int  # of the packed weight, with its steps
    steps: tuple[float, float] | None = None  # of weights: the least and the largest of a channel
    clips: tuple[float, float] | None = None  # the largest input that is not clipped: calibrated, and in the end
    is_signed: bool | None = None  # inputs


@dataclass(frozen=True)
class Outcome:
    """A level in few bits. Accuracies are of float, calibrated, trained, in percent; none if nothing was measured."""

    name: str
    source: str  # the level in floats that it was made of
    bytes_of_floats: int
    bytes: int
    layers: tuple[LayerOutcome, ...]
    top1: Mapping[str, float]
    epochs: tuple[Epoch, ...]


def layer_outcomes(calibrated: nn.Module, network: nn.Module) -> tuple[LayerOutcome, ...]:
    """Return what the layers of a quantised network came to, in its order, given the same one before its training.

    Raises NotQuantised for a network that is not.
    """
    before, after, floats = quantised_layers(calibrated), quantised_layers(network), left_float(network)
    return tuple(
        _rounded(name, before[name], after[name]) if name in after else _float(name, module)
        for name, module in network.named_modules()
        if name in after or name in floats
    )


def _rounded(name: str, before: QuantisedLayer, after: QuantisedLayer) -> LayerOutcome:
    steps = after.weight_quantiser.steps(after.weight).detach()
    packed = (after.weight.numel() * after.bits.weights + 7) // 8
    return LayerOutcome(
        name,
        str(after.bits),
        after.weight.nbytes,
        packed + steps.nbytes,
        (float(steps.min()), float(steps.max())),
        (_clip(before), _clip(after)),
        bool(after.input_quantiser.is_signed),
    )


def _float(name: str, module: nn.Module) -> LayerOutcome:
    size = sum(tensor.nbytes for tensor in module.parameters(recurse=False) if tensor.dim() > 1)
    return LayerOutcome(name, "float", size, size)


def _clip(layer: QuantisedLayer) -> float:
    inputs = layer.input_quantiser
    return float(inputs.step().detach()) * inputs.highest
