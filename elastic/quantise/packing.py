"""Packing: levels of 2 to 8 bits as one stream of bits, and all that a quantised network needs to run, in true bytes.

A level is written as an unsigned number, its bits from the least on, one after the other through the bytes.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from elastic.errors import CheckpointMismatch
from elastic.metadata import plain_bytes
from elastic.quantise.layers import quantised_layers, rounding_layers
from elastic.quantise.network import settled
from elastic.tensors import stored

Levels = npt.NDArray[np.int8]
Bytes = npt.NDArray[np.uint8]

LEVELS = "weight_quantiser.levels"  # of a layer, packed


def packed(levels: Levels, bits: int) -> Bytes:
    """Return levels of so many bits, from -2^(bits-1) to below 2^(bits-1), as ceil(n * bits / 8) bytes."""
    offset = (levels.reshape(-1).astype(np.int16) + (1 << (bits - 1))).astype(np.uint8)
    return np.packbits(np.unpackbits(offset[:, None], axis=1, bitorder="little")[:, :bits], bitorder="little")


def unpacked(data: Bytes, bits: int, count: int) -> Levels:
    """Return so many levels of what `packed` made of them.

    Raises CheckpointMismatch if there are not as many bytes as they need.
    """
    if len(data) != (count * bits + 7) // 8:
        raise CheckpointMismatch(
            f"{len(data)} bytes for {count} levels of {bits} bits, which need {(count * bits + 7) // 8}; "
            "are these weights of other bits?"
        )
    if bits == 8:  # nothing to unpack: the same number with its first bit turned
        return (data ^ 128).view(np.int8)
    each = np.unpackbits(data, count=count * bits, bitorder="little").reshape(count, bits)
    numbers = np.packbits(each, axis=1, bitorder="little")[:, 0].astype(np.int16)
    return (numbers - (1 << (bits - 1))).astype(np.int8)


def packed_state(network: nn.Module) -> dict[str, Tensor]:
    """Return the state dict of a quantised network as it is kept: for weights their levels, packed; all else as it is.

    Levels of `NAME.weight` are `NAME.weight_quantiser.levels`, uint8. Raises NotQuantised for a network that is not.
    """
    found = settled(network)
    state = found.state_dict()
    for name, layer in rounding_layers(found).items():
        del state[of_layer(name, "weight")]
        numbers = layer.weight_quantiser.levels(layer.weight).cpu().numpy()
        state[of_layer(name, LEVELS)] = torch.from_numpy(packed(numbers, layer.bits.weights))
    return state


def packed_size(network: nn.Module) -> int:
    """Return the bytes of a plain safetensors file of the packed state, with its header."""
    tensors = {name: stored(tensor) for name, tensor in packed_state(network).items()}
    return plain_bytes({name: (each.dtype, tuple(each.shape)) for name, each in tensors.items()})


def load_packed(network: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """Return a copy of a quantised network with a packed state; it computes the bits that were packed, in eval mode.

    The network gives shapes and bits. Raises CheckpointMismatch if the state is of another network, or of other bits.
    """
    found = settled(network)
    unrounded = dict(state)
    for name, layer in quantised_layers(found).items():
        kept = (unrounded.pop(of_layer(name, LEVELS), None), state.get(of_layer(name, "weight_quantiser.step")))
        if kept[0] is None or kept[1] is None or len(kept[1]) != len(layer.weight):
            raise CheckpointMismatch(f"the state has no packed weight of {name} with {len(layer.weight)} steps")
        unrounded[of_layer(name, "weight")] = weight_of(kept[0], kept[1], layer.bits.weights, layer.weight.shape)
    try:
        found.load_state_dict(unrounded)
    except RuntimeError as reason:
        raise CheckpointMismatch(f"the packed state is of another network: {reason}") from reason
    return found.eval()


def weight_of(data: Tensor, step: Tensor, bits: int, shape: Sequence[int]) -> Tensor:
    """Return the weight that packed levels and the step of each channel [out] stand for.

    Raises CheckpointMismatch if there are more or fewer bytes than the shape needs.
    """
    numbers = torch.from_numpy(unpacked(data.cpu().numpy(), bits, math.prod(shape))).view(*shape)
    return numbers.to(step.device) * step.view(-1, *[1] * (len(shape) - 1))


def of_layer(name: str, what: str) -> str:
    """Return the name in the state dict of what a layer has."""
    return f"{name}.{what}".removeprefix(".")
