"""Quantised networks: a copy of a network whose layers round their inputs and weights, and what belongs to it.

A plan of the float network is one of the quantised network too (`plan_of`): steps of channels leave with the channels.
"""

import copy
from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from elastic.dtypes import dtype_name
from elastic.errors import InvalidBits, UnknownName
from elastic.plain import check_plain
from elastic.plan import Plan, TensorSpec
from elastic.quantise.activations import KINDS, RANGES, Ranges, fixed
from elastic.quantise.bits import Bits, bits_of
from elastic.quantise.calibrating import inputs_seen
from elastic.quantise.layers import plain_layers, put_quantisers, quantised_layers, rounding_layers, take_quantisers
from elastic.quantise.weights import WEIGHT_STEPS, FixedWeightQuantiser, WeightSteps, weight_quantiser


def quantised(
    model: nn.Module,
    batches: Iterable[Tensor],
    bits: str | Sequence[str] = "W8A8",
    *,
    weights: WeightSteps = "max",
    ranges: Ranges = "learned",
) -> nn.Module:
    """Return a copy in which linear layers and convolutions round inputs and weights to so many bits, in eval mode.

    `bits` is for all layers, or for those whose names match: "W8A8,head=W4A4" (`bits_of`). Ranges are those that the
    inputs of each layer have on the batches. What is of another class (transposed convolutions, attention's own
    projections), or is not run, stays as it is: `left_float` tells.

    Raises LiveNetwork for one of `elastic.load`, UnknownName for a pattern that matches no layer or another kind of
    steps or ranges, InvalidBits if nothing is to be quantised, DataError as `inputs_seen`.
    """
    check_plain(model)
    check_kinds(weights, ranges)
    asked = asked_bits(model, bits)
    network = copy.deepcopy(model).eval()
    layers = plain_layers(network)
    seen = inputs_seen(network, {name: layers[name] for name in asked}, batches)
    if not seen:
        raise InvalidBits(f"no layer with bits of {type(model).__name__} is run; give bits to others")
    for name, of_layer in seen.items():
        layer, each = layers[name], asked[name]
        weight = layer.get_parameter("weight")
        inputs = KINDS[ranges](each.inputs).to(weight.device)
        inputs.calibrate(of_layer)
        put_quantisers(layer, inputs, weight_quantiser(weights, each.weights, weight))
    return network.eval()


def asked_bits(model: nn.Module, bits: str | Sequence[str]) -> dict[str, Bits]:
    """Return the bits of each layer that is to have some. Raises as `bits_of`, and InvalidBits if none is."""
    asked = bits_of(bits, list(plain_layers(model)))
    if not asked:
        raise InvalidBits(f"{bits} leaves every layer of {type(model).__name__} as it is; give bits to some")
    return asked


def check_kinds(weights: str, ranges: str) -> None:
    """Raise UnknownName for a kind of steps of weights, or of ranges of inputs, that is none."""
    if weights not in WEIGHT_STEPS:
        raise UnknownName(f"unknown steps of weights {weights!r}; known: {', '.join(WEIGHT_STEPS)}")
    if ranges not in RANGES:
        raise UnknownName(f"unknown ranges {ranges!r}; known: {', '.join(RANGES)}")


def unquantised(network: nn.Module) -> nn.Module:
    """Return a copy with plain layers, of the weights that were not rounded. Raises NotQuantised if it has them."""
    found = copy.deepcopy(network)
    for layer in quantised_layers(found).values():
        take_quantisers(layer)
    return found


@torch.no_grad()
def settled(network: nn.Module) -> nn.Module:
    """Return a copy that computes the same bits in eval mode; steps are data, and weights multiples of them.

    Weights that were tied have each a tensor of its own. Raises NotQuantised for a network that is not.
    """
    found = copy.deepcopy(network).eval()
    layers = rounding_layers(found) or quantised_layers(found)
    for layer in layers.values():
        steps = layer.weight_quantiser.steps(layer.weight).detach().clone()
        layer.weight = nn.Parameter(layer.weight_quantiser(layer.weight).detach())
        layer.weight_quantiser = FixedWeightQuantiser(layer.bits.weights, steps).eval()
        layer.input_quantiser = fixed(layer.input_quantiser).eval()
    return found


def plan_of(plan: Plan, network: nn.Module) -> Plan:
    """Return the plan of a quantised network, given that of the network that it was made of."""
    axes, tensors = dict(plan.axes), {}
    for name, tensor in network.state_dict(keep_vars=True).items():
        if name in plan.aliases:
            continue
        own = TensorSpec(tuple(tensor.shape), dtype_name(tensor.dtype), isinstance(tensor, nn.Parameter))
        tensors[name] = plan.tensors.get(name, own)
        layer, is_step, _ = name.partition(".weight_quantiser.step")
        weight = plan.aliases.get(f"{layer}.weight", f"{layer}.weight")
        if is_step and (weight, 0) in plan.axes:
            axes[name, 0] = plan.axes[weight, 0]
    return replace(plan, axes=axes, tensors=tensors)
