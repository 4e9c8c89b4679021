"""Keeping: what layers that round are in a file: tensors of their own, and what stands for the weights that they lack.

Their own are packed levels, steps, and whether inputs have signs. What a file says of them is plain data: the bits of
each layer, and the shape of its weight.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from elastic.errors import CheckpointMismatch, FileFormatError, InvalidBits
from elastic.quantise.activations import Fixed, InputQuantiser
from elastic.quantise.bits import Bits, parse_bits
from elastic.quantise.layers import plain_layers, put_quantisers, rounding_layers
from elastic.quantise.packing import LEVELS, of_layer, weight_of
from elastic.quantise.weights import FixedWeightQuantiser, WeightQuantiser

STEP, SIZE, SIGNED = "weight_quantiser.step", "input_quantiser.size", "input_quantiser.is_signed"
OWN = (LEVELS, STEP, SIZE, SIGNED)  # of each layer


def layers_told(network: nn.Module) -> dict[str, Any]:
    """Return bits and shape of each layer that rounds, by name, as plain data; empty if none does."""
    layers = rounding_layers(network)
    return {name: {"bits": str(layer.bits), "shape": list(layer.weight.shape)} for name, layer in layers.items()}


def own_names(layers: Iterable[str]) -> list[str]:
    """Return the names of the tensors that these layers have in a packed state and plain ones have not."""
    return [of_layer(name, what) for name in layers for what in OWN]


def absent_names(layers: Iterable[str]) -> tuple[str, ...]:
    """Return the names of the tensors that these layers lack there."""
    return tuple(of_layer(name, "weight") for name in layers)


def weights_of(state: Mapping[str, Tensor], layers: Mapping[str, Any], file: str) -> dict[str, Tensor]:
    """Return the weights that a level's own tensors stand for, by name.

    Raises FileFormatError if what is said of the layers can't be read, or the tensors are not what it asks for.
    """
    found = {}
    for name, shape, bits in _described(layers, file):
        try:
            data, step = state[of_layer(name, LEVELS)], state[of_layer(name, STEP)]
            if step.shape != shape[:1] or data.dtype != torch.uint8 or not step.is_floating_point():
                raise CheckpointMismatch(f"{len(step)} steps for a weight of shape {list(shape)}")
            found[of_layer(name, "weight")] = weight_of(data, step, bits.weights, shape)
        except (KeyError, CheckpointMismatch) as reason:
            raise FileFormatError(f"{file}: the packed weight of {name!r} is not whole ({reason}); damaged") from reason
    return found


def with_levels(network: nn.Module, state: Mapping[str, Tensor], layers: Mapping[str, Any], file: str) -> nn.Module:
    """Change a network with the weights that levels stand for to one whose layers round, and return it, in eval mode.

    Raises FileFormatError if it has no such layers.
    """
    for layer, inputs, weights in quantisers_of(network, state, layers, file):
        put_quantisers(layer, inputs, weights)
    return network.eval()


def quantisers_of(
    network: nn.Module, state: Mapping[str, Tensor], layers: Mapping[str, Any], file: str
) -> list[tuple[nn.Module, InputQuantiser, WeightQuantiser]]:
    """Return which layers of a network are to have which quantisers, in eval mode; the network stays as it is.

    Raises FileFormatError if it has no such layers.
    """
    there, found = plain_layers(network), list[tuple[nn.Module, InputQuantiser, WeightQuantiser]]()
    for name, _, bits in _described(layers, file):
        if name not in there or any(of_layer(name, what) not in state for what in OWN):
            raise FileFormatError(f"{file}: {name!r} is no layer that can be quantised, or lacks steps; damaged")
        inputs = Fixed(bits.inputs)
        inputs.load_state_dict({"size": state[of_layer(name, SIZE)], "is_signed": state[of_layer(name, SIGNED)]})
        weights = FixedWeightQuantiser(bits.weights, state[of_layer(name, STEP)])
        found.append((there[name], inputs.eval(), weights.eval()))
    return found


def _described(layers: Mapping[str, Any], file: str) -> list[tuple[str, tuple[int, ...], Bits]]:
    try:
        found = [(str(name), tuple(int(n) for n in of["shape"]), parse_bits(of["bits"])) for name, of in layers.items()]
        if any(not shape or min(shape) < 0 for _, shape, _ in found):
            raise ValueError("a weight has no axes")
    except (KeyError, TypeError, ValueError, AttributeError, InvalidBits) as reason:
        raise FileFormatError(
            f"{file}: what it says of its quantised layers can't be read: {reason}; damaged"
        ) from None
    return found
