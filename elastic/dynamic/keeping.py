"""Keeping: what dynamic gates are in a file: tensors of their own, and settings as plain data.

A layer's own are all that its gate holds: thresholds, statistics of the norm that decides, scale and shift of the
second norm. What a file says is a list of groups, each with its method, its settings and its layers: for each the norm
behind it that chooses, if there is one. Quantisers of precision gates are kept as those of all layers that round.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from elastic.dynamic.channel import layers as channel
from elastic.dynamic.channel.network import reason_against
from elastic.dynamic.choosing import CONVOLUTIONS
from elastic.dynamic.precision import layers as precision
from elastic.dynamic_gating import ChannelGating, Deciding, PrecisionGating
from elastic.errors import FileFormatError, InvalidRecipe
from elastic.quantise.layers import QuantisedLayer, take_quantisers
from elastic.settings import settings_of

METHODS: Mapping[str, type[Deciding]] = {"channel": ChannelGating, "precision": PrecisionGating}
Group = Mapping[str, Any]


def gates_told(network: nn.Module) -> list[Group]:
    """Return what there is to say of a network's dynamic gates, as plain data; empty if it has none."""
    norms, groups = channel.choosing_norms(network), dict[tuple[str, Deciding], dict[str, str | None]]()
    for name, module in network.named_modules():
        if isinstance(module, channel.ChannelGated):
            groups.setdefault(("channel", module.gate.gating), {})[name] = norms.get(name)
        elif isinstance(module, precision.PrecisionGated):
            groups.setdefault(("precision", module.gate.gating), {})[name] = None
    return [
        {"method": method, "gating": gating.model_dump(mode="json"), "layers": layers}
        for (method, gating), layers in groups.items()
    ]


def gate_names(state: Mapping[str, Tensor], groups: Sequence[Group]) -> list[str]:
    """Return the names of what gates hold in a state dict."""
    layers = [name for group in groups for name in group["layers"]]
    return [name for name in state if any(name.startswith(_gate(layer)) for layer in layers)]


def with_gates(network: nn.Module, own: Mapping[str, Tensor], groups: Any, file: str) -> nn.Module:
    """Change a network to one with the gates that a file tells of, and return it, in eval mode.

    Raises FileFormatError if what is told can't be read, or is not of this network.
    """
    for method, gating, layers in _read(groups, file):
        for name, norm in layers.items():
            try:
                _put(network, method, gating, name, norm, own)
            except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as reason:
                why = str(reason).partition("\n")[0]
                raise FileFormatError(
                    f"{file}: {name!r} can't have the gates that it tells of: {why}; damaged"
                ) from reason
    return network.eval()


def _put(
    network: nn.Module, method: str, gating: Deciding, name: str, norm: str | None, own: Mapping[str, Tensor]
) -> None:
    layer: Any = network.get_submodule(name)
    if isinstance(gating, ChannelGating):
        if type(layer) not in CONVOLUTIONS:
            raise TypeError(f"it is no convolution but a {type(layer).__name__}")
        if reason := reason_against(gating, name, layer):
            raise ValueError(reason)
        behind = None if norm is None else network.get_submodule(norm)
        if behind is not None and not isinstance(behind, nn.modules.batchnorm._BatchNorm):
            raise TypeError(f"{norm} behind it is no batch norm")
        channel.put_gate(layer, gating, behind, _gate(name) + "threshold_above" in own)
    elif isinstance(gating, PrecisionGating):
        if isinstance(layer, nn.Linear) or not isinstance(layer, QuantisedLayer):
            raise TypeError("it is no convolution that rounds")
        inputs, weights = layer.input_quantiser, layer.weight_quantiser
        if (inputs.bits, weights.bits) != (gating.bits, gating.weight_bits) or gating.prediction_bits >= gating.bits:
            raise ValueError(f"it has other bits, {layer.bits}")
        take_quantisers(layer)
        precision.put_gate(layer, gating, inputs, weights)
    state = {each.removeprefix(_gate(name)): tensor for each, tensor in own.items() if each.startswith(_gate(name))}
    if "read" in state and not _is_choice(state["read"], layer.in_channels):
        raise ValueError(f"its base path reads no choice of {layer.in_channels} channels")
    layer.gate.load_state_dict(state)


def _is_choice(read: Tensor, channels: int) -> bool:
    """Return whether these are numbers of channels, each once, rising."""
    rises = bool((read.diff() > 0).all())
    return read.dtype == torch.int64 and rises and bool(((read >= 0) & (read < channels)).all())


def _read(groups: Any, file: str) -> list[tuple[str, Deciding, dict[str, str | None]]]:
    """Return what is told of gates, checked but for the network."""
    try:
        return [
            (
                str(group["method"]),
                settings_of(METHODS[group["method"]], group["gating"], f"{group['method']} gates have"),
                {str(name): None if norm is None else str(norm) for name, norm in group["layers"].items()},
            )
            for group in groups
        ]
    except (KeyError, TypeError, AttributeError, InvalidRecipe) as reason:
        raise FileFormatError(f"{file}: what it says of its gates can't be read: {reason}; damaged") from None


def _gate(layer: str) -> str:
    return f"{layer}.gate.".removeprefix(".")
