"""Networks with channel gates: a copy of a network whose convolutions have them, and back."""

import copy
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from elastic.dynamic.channel.layers import ChannelGated, channel_gates, put_gate, take_gate
from elastic.dynamic.choosing import chosen_layers
from elastic.dynamic.counting import reset
from elastic.dynamic.following import Following, followings
from elastic.dynamic_gating import ChannelGating
from elastic.modes import eval_mode
from elastic.plain import check_plain
from elastic.tracing import Example


def channel_gated(
    model: nn.Module, example: Example, gating: ChannelGating | None = None, batches: Iterable[Tensor] = ()
) -> nn.Module:
    """Return a copy in which convolutions have channel gates, in eval mode.

    Which: those that match `gating.layers`, or all that lead to an activation. A norm that alone reads a layer's output
    becomes the first of two norms. The norms that decide get the statistics of the batches, on which the strongest
    channels are found too.

    Raises LiveNetwork for one of `elastic.load`, UnknownName and NothingToGate as `chosen_layers`.
    """
    check_plain(model)
    gating = gating or ChannelGating()
    network = copy.deepcopy(model).eval()
    behind = followings(network, example)
    for name, layer in chosen_layers(network, behind, gating.layers, partial(reason_against, gating)).items():
        norm = behind[name].norm if gating.norms == "two" else None
        second = None if norm is None else network.get_submodule(norm)
        put_gate(layer, gating, second, _is_two_sided(gating, behind[name]))
    seen = list(batches)
    if gating.base == "strongest":
        choose_bases(network.eval(), seen)
    settle_norms(network.eval(), seen)
    reset(network)
    return network


def settle_norms(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Change the norms that decide to have the mean statistics of the batches; without any they stay as they are.

    Behind closed gates other inputs follow than behind open ones, so layers settle all at once, with the gates that
    there are in each batch.
    """
    norms = [layer.gate.norm for layer in channel_gates(network).values()]
    device = next(network.parameters()).device
    kept = [norm.momentum for norm in norms]
    with eval_mode(network), torch.no_grad():
        for number, batch in enumerate(batches):
            for norm in norms:
                norm.train()
                norm.momentum = None
                if number == 0:
                    norm.reset_running_stats()
            network(batch.to(device))
    for norm, momentum in zip(norms, kept, strict=True):
        norm.momentum = momentum


def choose_bases(network: nn.Module, batches: Sequence[Tensor]) -> None:
    """Change the base paths to read the strongest input channels: those that add most variance to the layer's sums.

    Of a channel that is its variance over the batches times its squared weights, as if channels varied by themselves;
    without batches it is the weights alone.
    """
    layers = channel_gates(network)
    found = {name: torch.zeros(0) for name in layers}

    def look(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def hook(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            varies = inputs[0].var([0, *range(2, inputs[0].dim())], correction=0)
            found[name] = varies if not len(found[name]) else found[name] + varies

        return hook

    handles = [layer.register_forward_pre_hook(look(name)) for name, layer in layers.items()]
    try:
        with eval_mode(network), torch.no_grad():
            for batch in batches:
                network(batch.to(next(network.parameters()).device))
    finally:
        for handle in handles:
            handle.remove()
    for name, layer in layers.items():
        weights = layer.weight.detach().square().sum([0, *range(2, layer.weight.dim())])
        strength = weights * found[name] if len(found[name]) else weights
        read = layer.gate.read
        read.copy_(strength.topk(len(read)).indices.sort().values)


def ungated(network: nn.Module) -> nn.Module:
    """Return a copy with plain convolutions, which computes everything in full. Raises NothingToGate without gates."""
    found = copy.deepcopy(network)
    for layer in channel_gates(found).values():
        for module in found.modules():
            for key, hook in list(module._forward_hooks.items()):
                if getattr(hook, "__self__", None) is layer:
                    del module._forward_hooks[key]
        assert isinstance(layer, ChannelGated)
        take_gate(layer)
    return found


def _is_two_sided(gating: ChannelGating, behind: Following) -> bool:
    return behind.is_bounded if gating.sides == "auto" else gating.sides == "two"


def reason_against(gating: ChannelGating, name: str, layer: nn.Module) -> str | None:
    """Return why a convolution can't have such gates, None if it can."""
    own: Any = layer
    if own.groups != 1:
        return f"it has {own.groups} groups already"
    if own.in_channels < gating.parts:
        return f"its {own.in_channels} input channels are fewer than {gating.parts} parts"
    if gating.base == "groups" and (own.in_channels % gating.parts or own.out_channels % gating.parts):
        return f"its channels, {own.in_channels} to {own.out_channels}, have no {gating.parts} groups"
    return None
