"""Networks with precision gates: a copy of a network whose convolutions have them, and its twin without."""

import copy
from collections.abc import Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from elastic.dynamic.choosing import chosen_layers
from elastic.dynamic.counting import reset
from elastic.dynamic.following import Following, followings
from elastic.dynamic.precision.layers import PrecisionGated, precision_gates, put_gate, take_gate
from elastic.dynamic_gating import PrecisionGating
from elastic.errors import InvalidBits
from elastic.modes import eval_mode
from elastic.plain import check_plain
from elastic.quantise.activations import KINDS
from elastic.quantise.bits import FLOAT
from elastic.quantise.calibrating import inputs_seen
from elastic.quantise.layers import put_quantisers
from elastic.quantise.network import quantised
from elastic.quantise.weights import weight_quantiser
from elastic.tracing import Example


def precision_gated(
    model: nn.Module, example: Example, batches: Iterable[Tensor], gating: PrecisionGating | None = None
) -> nn.Module:
    """Return a copy in which convolutions have precision gates, in eval mode.

    Which: those that match `gating.layers`, or all that lead to an activation, but for the ones that read the network's
    input. All other layers have the bits of `gating.elsewhere`. Ranges, and thresholds where a share of positions is to
    be closed at first, are those of the batches.

    Raises LiveNetwork for one of `elastic.load`, UnknownName and NothingToGate as `chosen_layers`, InvalidBits for bits
    that can't be split, and what `quantised` raises.
    """
    check_plain(model)
    gating, seen_batches = gating or PrecisionGating(), list(batches)
    if gating.prediction_bits >= gating.bits:
        raise InvalidBits(f"{gating.bits} bits have no {gating.prediction_bits} high ones and a rest; give fewer")
    network = copy.deepcopy(model).eval()
    behind = followings(network, example)
    layers = chosen_layers(network, behind, gating.layers, partial(_reason, behind, gating))
    if gating.elsewhere != FLOAT:
        network = quantised(network, seen_batches, [gating.elsewhere, *(f"{name}={FLOAT}" for name in layers)])
        layers = {name: network.get_submodule(name) for name in layers}
    for name, seen in inputs_seen(network, layers, seen_batches).items():
        if seen.is_signed and gating.prediction_bits == 1:
            raise InvalidBits(
                f"the one high bit of {name}'s inputs is their sign, which predicts nothing; give 2 or more"
            )
        weight = layers[name].get_parameter("weight")
        inputs = KINDS[gating.ranges](gating.bits).to(weight.device)
        inputs.calibrate(seen)
        put_gate(layers[name], gating, inputs, weight_quantiser(gating.steps, gating.weight_bits, weight))
    if gating.closed is not None:
        close(network, seen_batches[0], gating.closed)
        reset(network)
    return network.eval()


@torch.no_grad()
def close(network: nn.Module, images: Tensor, share: float) -> None:
    """Change thresholds so that on these images such a share of each channel's predictions lies below its own.

    Layer by layer, in the order of the network: what one closes, the next one sees.
    """

    def begin(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(layer, PrecisionGated)
        own: Any = layer
        values = layer.high_bits(layer.input_quantiser(inputs[0]))
        predicted = own._conv_forward(values, layer.weight_quantiser(layer.weight), layer.bias)
        of_channel = predicted.transpose(0, 1).flatten(1).float()  # [out, n * ..]
        place = max(1, round(share * of_channel.shape[1]))
        layer.gate.threshold.copy_(of_channel.kthvalue(place, 1).values)

    handles = [layer.register_forward_pre_hook(begin) for layer in precision_gates(network).values()]
    try:
        with eval_mode(network):
            network(images.to(next(network.parameters()).device))
    finally:
        for handle in handles:
            handle.remove()


def static_twin(network: nn.Module) -> nn.Module:
    """Return a copy whose layers always use all bits: quantised layers in place of those with gates.

    Raises NothingToGate without gates.
    """
    found = copy.deepcopy(network)
    for layer in precision_gates(found).values():
        inputs, weights = layer.input_quantiser, layer.weight_quantiser
        take_gate(layer)
        put_quantisers(layer, inputs, weights)
    return found


def _reason(behind: dict[str, Following], gating: PrecisionGating, name: str, layer: nn.Module) -> str | None:
    is_asked = bool(gating.layers)
    return "it reads the network's input" if behind[name].is_first and not is_asked else None
