"""Aligning: biases in whole steps of their layer's sums, so that integer kernels add what training added.

Kernels that compute in integers add the bias to the sum, before anything is scaled: it is rounded to a multiple of
the sum's step, the product of both steps (Jacob et al., "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference", CVPR 2018, section 2.4). That is half a step of a sum at most, but moves inputs of
the next layer over the middle between two levels. Here the bias is rounded in the network itself, where a norm has it
in that norm, so that what is measured is what is deployed.
"""

import copy
import logging

import torch
from torch import Tensor, nn

from elastic.errors import NothingToPrune, TraceError
from elastic.plan import Plan
from elastic.quantise.folding import BatchNorm, factor_of, folded_bias, folding_pairs
from elastic.quantise.layers import QuantisedLayer, quantised_layers
from elastic.quantise.network import unquantised
from elastic.tracing import trace

MOST = 2**31 - 1  # steps that 32 bits hold
NEAR = 1e-3  # steps; what was aligned is this near to a whole number, but for what floats lose of large ones

log = logging.getLogger(__name__)


@torch.no_grad()
def aligned(network: nn.Module, example: Tensor) -> nn.Module:
    """Return a copy of a quantised network with biases of whole steps, each moved by half a step of its sums at most.

    A bias is that of the layer, or what the norm behind it, folded, adds to a channel. `example` is one batch [n, ..].
    What has no bias, one of more than 2^31 steps, or a channel that its norm multiplies by 0, stays as it is; so does a
    network that can't be traced, with a warning.

    Raises NotQuantised.
    """
    found = copy.deepcopy(network).eval()
    layers = quantised_layers(found)
    try:
        plan = plan_of_floats(found, example)
    except TraceError as reason:
        log.warning("biases keep what integer kernels will round: %s", reason)
        return found
    pairs = folding_pairs(found, plan, example)
    for name, layer in layers.items():
        if name in pairs:
            _align_norm(layer, found.get_submodule(pairs[name]))
        elif layer.bias is not None:
            layer.bias.add_(_to_grid(layer.bias, sum_steps(layer)))
    return found


def plan_of_floats(network: nn.Module, example: Tensor) -> Plan:
    """Return the plan of a quantised network without its quantisers, also where there is nothing to prune.

    Raises what `trace` raises else.
    """
    try:
        return trace(unquantised(network), example)
    except NothingToPrune as reason:
        plan: Plan = reason.plan
        return plan


def sum_steps(layer: QuantisedLayer) -> Tensor:
    """Return the step of a layer's sums, one for each channel [out]."""
    return layer.weight_quantiser.steps(layer.weight).detach() * layer.input_quantiser.step().detach()


def in_steps(bias: Tensor, steps: Tensor) -> Tensor | None:
    """Return a bias in whole steps, int32, or None if it is not whole or needs more bits."""
    count = bias.double() / steps.double()
    whole = count.round()
    is_whole = (count - whole).abs() <= NEAR + count.abs() * torch.finfo(bias.dtype).eps
    return whole.to(torch.int32) if bool((is_whole & (whole.abs() <= MOST)).all()) else None


def _align_norm(layer: QuantisedLayer, norm: nn.Module) -> None:
    assert isinstance(norm, BatchNorm)
    bias: Tensor | None = norm.bias
    if bias is not None:
        bias.add_(_to_grid(folded_bias(layer, norm), sum_steps(layer) * factor_of(norm).abs()))


def _to_grid(bias: Tensor, steps: Tensor) -> Tensor:
    """Return what brings each bias [out] to the nearest multiple of its step; 0 where there is none."""
    count = bias.double() / steps.double()
    moves = (count.round() - count) * steps.double()
    return torch.where((count.abs() <= MOST) & (steps > 0), moves, 0.0).to(bias.dtype)
