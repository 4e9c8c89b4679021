"""Folding: norms become part of the layers that they directly follow, and the levels of weights stay.

A batch norm in eval mode multiplies each channel by a number and adds one. Weights have a step for each channel, so the
step takes the number's size and the levels its sign: nothing is rounded anew.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from elastic.errors import ProofFailed
from elastic.modes import eval_mode
from elastic.plan import Plan
from elastic.proofs import relative_error
from elastic.quantise.layers import QuantisedLayer, quantised_layers
from elastic.quantise.network import settled, unquantised
from elastic.quantise.rounding import positive

BatchNorm = nn.modules.batchnorm._BatchNorm
TOLERANCE = 1e-5  # of the output, in float64 and without rounding; weights were folded in float32


@torch.no_grad()
def folded(network: nn.Module, plan: Plan, example: Tensor) -> nn.Module:
    """Return a settled copy of a quantised network whose norms are folded, `nn.Identity` in their places.

    `plan` is that of the network without quantisers. Norms that are not alone behind a layer, or have no running
    statistics, stay.

    Raises NotQuantised, and ProofFailed if the network without rounding is another one after it: something reads a
    layer's output that the plan does not know of.
    """
    found = settled(network)
    pairs = folding_pairs(found, plan, example)
    for layer, norm in pairs.items():
        _fold(found.get_submodule(layer), found.get_submodule(norm))
        found.set_submodule(norm, nn.Identity())
    _prove(found, settled(network), example)
    return found


def folding_pairs(network: nn.Module, plan: Plan, example: Tensor) -> dict[str, str]:
    """Return the norm that directly follows a layer and is its only reader, by the names of both."""
    direct = _direct(network, example)
    found, modules = {}, [step.module for step in plan.layers]
    for number, step in enumerate(plan.layers):
        if step.kind != "norm" or len(step.inputs) != 1 or modules.count(step.module) != 1:
            continue
        source = step.inputs[0]
        layer = modules[source]
        readers = [other for other, each in enumerate(plan.layers) if source in each.inputs]
        if readers == [number] and modules.count(layer) == 1 and (layer, step.module) in direct:
            found[layer] = step.module
    return found


def _direct(network: nn.Module, example: Tensor) -> set[tuple[str, str]]:
    """Return layers and norms, where the norm is called once with exactly the tensor that the layer made."""
    made: dict[int, tuple[str, Tensor]] = {}
    found: list[tuple[str, str]] = []

    def keep(name: str) -> Any:
        return lambda module, inputs, output: made.__setitem__(id(output), (name, output))

    def look(name: str) -> Any:
        def seen(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            layer, output = made.get(id(inputs[0]), ("", None))
            found.append((layer if output is inputs[0] and _axis_fits(output) else "", name))

        return seen

    def _axis_fits(output: Tensor | None) -> bool:
        # A linear layer's channels are last, a norm's second.
        return output is not None and (output.dim() == 2 or not isinstance(layers[made[id(output)][0]], nn.Linear))

    layers: Mapping[str, Any] = quantised_layers(network)
    handles = [layer.register_forward_hook(keep(name)) for name, layer in layers.items()]
    norms = {name: m for name, m in network.named_modules() if isinstance(m, BatchNorm) and m.running_mean is not None}
    handles += [norm.register_forward_pre_hook(look(name)) for name, norm in norms.items()]
    try:
        with eval_mode(network):
            network(example)
    finally:
        for handle in handles:
            handle.remove()
    return {pair for pair in found if pair[0] and found.count(pair) == 1}


def _fold(layer: nn.Module, norm: nn.Module) -> None:
    """Change a settled layer to one that does what the norm did behind it."""
    assert isinstance(layer, QuantisedLayer)
    assert isinstance(norm, BatchNorm)
    factor = factor_of(norm)
    numbers = layer.weight_quantiser.levels(layer.weight) * _column(factor.sign(), layer.weight)
    step = layer.weight_quantiser.steps(layer.weight) * factor.abs()
    layer.weight_quantiser.step = positive(step)
    layer.weight = nn.Parameter(numbers * _column(step, layer.weight))
    layer.bias = nn.Parameter(folded_bias(layer, norm))


def folded_bias(layer: QuantisedLayer, norm: "BatchNorm") -> Tensor:
    """Return the bias of a layer with the norm behind it folded into it, [out]."""
    assert norm.running_mean is not None
    moved = -norm.running_mean if layer.bias is None else layer.bias - norm.running_mean
    bias = moved * factor_of(norm)
    return bias if norm.bias is None else bias + norm.bias


def factor_of(norm: "BatchNorm") -> Tensor:
    """Return what a norm multiplies each channel by in eval mode, [channels]."""
    assert norm.running_var is not None
    factor = (norm.running_var + norm.eps).rsqrt()
    return factor if norm.weight is None else factor * norm.weight


def _column(values: Tensor, weight: Tensor) -> Tensor:
    return values.view(-1, *[1] * (weight.dim() - 1))


def _prove(found: nn.Module, settled_network: nn.Module, example: Tensor) -> None:
    inputs = example.double().cpu()
    got, wanted = (unquantised(each).double().cpu().eval()(inputs) for each in (found, settled_network))
    error = relative_error(got, wanted)
    if not error <= TOLERANCE:
        raise ProofFailed(
            f"the network with its norms folded differs from what it was by {error:.2e} of the output; something reads "
            "a layer's output beside its norm: please report the model"
        )
