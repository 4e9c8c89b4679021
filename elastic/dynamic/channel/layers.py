"""Layers: convolutions that read the rest of their channels where a gate is open.

A layer keeps its own class, into which this is mixed, and its own weight. The base path reads one of p parts of the
channels; its sums, normalised, are held against a threshold for each output channel. With two norms the network's own
norm sees full sums alone, and base sums have a scale and a shift of their own behind the norm that decides.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from elastic.dynamic.counting import Counter
from elastic.dynamic.opening import chosen, column, opened, pooled, without_few
from elastic.dynamic_gating import ChannelGating
from elastic.errors import NothingToGate
from elastic.quantise.layers import mixed_into_all

CONVOLUTIONS = (F.conv1d, F.conv2d, F.conv3d)
NORMS: tuple[type[nn.modules.batchnorm._BatchNorm], ...] = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class ChannelGate(nn.Module):
    """From base sums [n, out, ..] to gates; what it holds is all that gating adds to a state dict."""

    threshold_above: nn.Parameter | None
    read: Tensor  # [inputs / parts], rising: the input channels of the base path where they are the strongest

    def __init__(self, layer: nn.Module, gating: ChannelGating, norm: nn.Module | None, is_two_sided: bool) -> None:
        """Begin; `norm` is what follows the layer if base sums are to have one of their own."""
        super().__init__()
        own: Any = layer
        weight: Tensor = own.weight
        channels = own.out_channels
        self.gating = gating
        self.threshold = nn.Parameter(torch.full((channels,), gating.begin))
        above = nn.Parameter(torch.full((channels,), gating.begin_above)) if is_two_sided else None
        self.register_parameter("threshold_above", above)
        self.norm = NORMS[weight.dim() - 3](channels, affine=False)
        if isinstance(norm, nn.modules.batchnorm._BatchNorm):
            self.norm.eps, self.norm.momentum = norm.eps, norm.momentum
            ones, zeros = torch.ones(channels), torch.zeros(channels)
            self.scale = nn.Parameter(ones if norm.weight is None else norm.weight.detach().clone())
            self.shift = nn.Parameter(zeros if norm.bias is None else norm.bias.detach().clone())
        window, inputs = weight[0, 0].numel(), own.in_channels
        if gating.base == "strongest":
            self.register_buffer("read", torch.arange(base_channels(inputs, gating)))
        self.counter = Counter(window * base_channels(inputs, gating), window * inputs, window * inputs)
        self.to(weight)

    def forward(self, base: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gates, [n, out, ..] or with 1 along some axes, and the normalised base sums."""
        gating, normed = self.gating, self.norm(base)
        gates = self._opened(normed - column(self.threshold, base))
        if self.threshold_above is not None:
            gates = gates * self._opened(column(self.threshold_above, base) - normed)
        gates = without_few(gates, gating.coarse)
        self.counter(gates, base.shape)
        return gates, normed

    def of_its_own(self, normed: Tensor) -> Tensor:
        """Return what the second norm makes of normalised base sums."""
        return normed * column(self.scale, normed) + column(self.shift, normed)

    def drawn(self) -> Tensor:
        """Return the squared distance of thresholds from their target, summed."""
        found = (self.threshold - self.gating.target).square().sum()
        if self.threshold_above is None:
            return found
        return found + (self.threshold_above - self.gating.target_above).square().sum()

    def _opened(self, scores: Tensor) -> Tensor:
        gating = self.gating
        return opened(pooled(scores, gating.granularity, gating.block), gating.slope, gating.sparse_back_propagation)


class ChannelGated(nn.Module):
    """What is mixed into a convolution."""

    gate: ChannelGate
    weight: Tensor
    bias: Tensor | None
    is_normed: bool  # the norm behind it has a second one for base sums
    passed: tuple[Tensor, Tensor] | None  # to that norm: base outputs and gates
    masked_because: str | None = None  # in a network that skips: why this layer does not

    def forward(self, inputs: Tensor) -> Tensor:
        """Return full sums where gates are open and base sums elsewhere; with two norms full sums, the norm chooses."""
        own: Any = self
        full: Tensor = own._conv_forward(inputs, self.weight, self.bias)
        base = self.base_sums(inputs)
        gates, normed = self.gate(base)
        if not self.is_normed:
            return chosen(full, base, gates)
        self.passed = self.gate.of_its_own(normed), gates
        return full

    def base_sums(self, inputs: Tensor) -> Tensor:
        """Return what the layer makes of the channels of the base path."""
        weight, read, groups = self.base_path()
        return self._convolved(inputs[:, read], weight, groups)

    def base_path(self) -> tuple[Tensor, slice | Tensor, int]:
        """Return the weights of the base path, the input channels that it reads, and its groups."""
        own: Any = self
        parts, gating = self.gate.gating.parts, self.gate.gating
        if gating.base == "first":
            first = base_channels(own.in_channels, gating)
            return self.weight[:, :first], slice(first), 1
        if gating.base == "strongest":
            return self.weight[:, self.gate.read], self.gate.read, 1
        read = group_channels(own.in_channels, gating)
        rows = self.weight.chunk(parts)
        grouped = torch.cat([each[:, channels] for each, channels in zip(rows, read, strict=True)])
        return grouped, read.flatten() if gating.shuffle else slice(None), parts

    def behind_norm(self, norm: nn.Module, inputs: tuple[Tensor, ...], outputs: Tensor) -> Tensor:
        """Return normed full sums where gates are open, base sums with their own norm elsewhere: the norm's hook."""
        if self.passed is None:
            return outputs
        (base, gates), self.passed = self.passed, None
        return chosen(outputs, base, gates)

    def _convolved(self, inputs: Tensor, weight: Tensor, groups: int) -> Tensor:
        own: Any = self
        padding = own.padding
        if own.padding_mode != "zeros":
            inputs, padding = F.pad(inputs, own._reversed_padding_repeated_twice, mode=own.padding_mode), 0
        convolve: Any = CONVOLUTIONS[weight.dim() - 3]
        found: Tensor = convolve(inputs, weight, self.bias, own.stride, padding, own.dilation, groups)
        return found

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what belongs to a run."""
        return {**self.__dict__, "passed": None}


MIXED = mixed_into_all(ChannelGated, "ChannelGated")


def base_channels(inputs: int, gating: ChannelGating) -> int:
    """Return how many input channels an output of the base path reads."""
    return max(1, inputs // gating.parts)


def group_channels(inputs: int, gating: ChannelGating) -> Tensor:
    """Return the input channels that each group reads, [parts, inputs / parts]: runs, or every p-th where shuffled."""
    channels = torch.arange(inputs)
    return channels.view(-1, gating.parts).t() if gating.shuffle else channels.view(gating.parts, -1)


def channel_gates(network: nn.Module) -> dict[str, ChannelGated]:
    """Return the layers with channel gates, by name. Raises NothingToGate if there are none."""
    found = {name: module for name, module in network.named_modules() if isinstance(module, ChannelGated)}
    if not found:
        raise NothingToGate(f"{type(network).__name__} has no channel gates; give it to `channel_gated` first")
    return found


def choosing_norms(network: nn.Module) -> dict[str, str]:
    """Return the norm that chooses by the gates of a layer, where one does, by the layer's name."""
    gates = {id(layer): name for name, layer in network.named_modules() if isinstance(layer, ChannelGated)}
    return {
        gates[owner]: norm
        for norm, module in network.named_modules()
        for hook in module._forward_hooks.values()
        if (owner := id(getattr(hook, "__self__", None))) in gates
    }


def put_gate(layer: nn.Module, gating: ChannelGating, norm: nn.Module | None, is_two_sided: bool) -> None:
    """Change a convolution to one with gates, and the norm behind it, if one is given, to choose by them."""
    gate = ChannelGate(layer, gating, norm, is_two_sided)
    layer.__class__ = MIXED[type(layer)]
    assert isinstance(layer, ChannelGated)
    layer.gate, layer.is_normed, layer.passed = gate, norm is not None, None
    if norm is not None:
        norm.register_forward_hook(layer.behind_norm)


def take_gate(layer: nn.Module) -> None:
    """Change a convolution with gates to a plain one."""
    layer.__class__ = next(kind for kind, mixed in MIXED.items() if type(layer) is mixed)
    del layer.gate, layer.is_normed, layer.passed
