"""Splitting: a convolution with gates in two parts for inference, of which the second is computed where gates are open.

With two norms both are in the layer: open positions are scaled and shifted as the network's norm would, closed ones as
the norm of base sums would. So the norm behind the layer has nothing left to do. A layer whose gates are open for good
decides nothing: it is one convolution, with the norm folded into it.
"""

from collections.abc import Callable, MutableMapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from elastic.dynamic.channel.deciding import affine, decide, scoring_of
from elastic.dynamic.channel.layers import ChannelGate, ChannelGated
from elastic.dynamic.opening import column
from elastic.dynamic.skipping import Choice, Conditional, add_open, conditional, conditional_of, known_choice
from elastic.dynamic.skipping.masks import spread
from elastic.errors import CannotSkip

Asked = Callable[[MutableMapping[str, Choice], Conditional, Tensor, Tensor], Choice | None]
Affine = tuple[Tensor, Tensor]  # what each channel is multiplied with, and what is added; [c]


class Skipping(nn.Module):
    """A gated convolution in eval mode, with the norm behind it where it has two.

    Thresholds may move, weights and norms may not: they are kept as they were. `choices` belong to all layers together.
    """

    def __init__(
        self,
        layer: ChannelGated,
        norm: nn.modules.batchnorm._BatchNorm | None,
        choices: MutableMapping[str, Choice],
    ) -> None:
        """Begin. Raises MaskMismatch if the layer can't be split."""
        super().__init__()
        own: Any = layer
        self.gate, self.scoring, self.choices = layer.gate, scoring_of(layer.gate), choices
        self.open: Affine | None = None if norm is None else affine(norm)
        self.closed: Affine | None = None if norm is None else closed_of(layer)
        self.rest = rest_of(layer, None if self.open is None else self.open[0])
        weight, self.read, self.groups = layer.base_path()
        self.order: Tensor | None = None
        if layer.gate.gating.base == "strongest":
            self.order, self.read = order_of(layer), slice(len(layer.gate.read))
        self.base = weight.detach().clone(memory_format=torch.channels_last)
        self.bias = None if own.bias is None else own.bias.detach().clone()
        self.whole = whole_of(layer, self.open)
        self.is_open = is_open_for_good(self.gate)
        self.ask(known_choice)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return what the masked layer makes, and with two norms what its norm does, to rounding."""
        if self.training:
            raise CannotSkip("a network that skips can't be trained; train the gated one, and make this one of it anew")
        if self.is_open:
            return self._in_full(inputs)
        rest = self.rest
        if self.order is not None:
            inputs = in_order(inputs, self.order)
        seen = inputs[:, self.read]
        sums = F.conv2d(seen, self.base, self.bias, rest.stride, rest.padding, rest.dilation, self.groups)
        mask = decide(self.gate, self.scoring, sums)
        if self.open is not None and self.closed is not None:
            is_open = spread(mask, rest.outputs)
            sums = torch.where(is_open, _placed(sums, self.open), _placed(sums, self.closed))
        return add_open(rest, inputs, mask, sums, self._choice(inputs, mask))

    def open_for_good(self) -> None:
        """Change all gates to be open whatever comes; the layer is then as fast as one without gates."""
        with torch.no_grad():
            self.gate.threshold.fill_(-torch.inf)
            if self.gate.threshold_above is not None:
                self.gate.threshold_above.fill_(torch.inf)
        self.is_open = True

    def in_full(self, inputs: Tensor) -> Tensor:
        """Return what the layer makes with all gates open, without counting: one convolution."""
        weight, bias = self.whole
        return F.conv2d(inputs, weight, bias, self.rest.stride, self.rest.padding, self.rest.dilation)

    def _in_full(self, inputs: Tensor) -> Tensor:
        made = self.in_full(inputs)
        self.gate.counter(made.new_ones((len(made), 1, 1, 1), dtype=torch.bool), made.shape)
        return made

    def ask(self, who: Asked) -> None:
        """Change who is asked for a choice where shapes come that were not there since."""
        self.asked: Asked = who
        self.answers: dict[tuple[Any, ...], Choice | None] = {}

    def _choice(self, inputs: Tensor, mask: Tensor) -> Choice | None:
        key = inputs.shape, inputs.dtype, torch.get_num_threads()
        if key not in self.answers:
            self.answers[key] = self.asked(self.choices, self.rest, inputs, mask)
        return self.answers[key]


def is_open_for_good(gate: ChannelGate) -> bool:
    """Return whether thresholds close nothing, whatever comes."""
    above = gate.threshold_above
    return bool((gate.threshold == -torch.inf).all()) and (above is None or bool((above == torch.inf).all()))


def whole_of(layer: ChannelGated, by: Affine | None) -> tuple[Tensor, Tensor | None]:
    """Return the weights and the bias of a layer in full, with what its norm does to open positions."""
    own: Any = layer
    weight, bias = own.weight.detach().clone(memory_format=torch.channels_last), own.bias
    if by is None:
        return weight, None if bias is None else bias.detach().clone()
    scale, shift = by
    return weight * scale[:, None, None, None], shift if bias is None else bias.detach() * scale + shift


def order_of(layer: ChannelGated) -> Tensor:
    """Return all input channels [inputs], those of the base path first: what is left is then one run of them."""
    own: Any = layer
    rest = torch.ones(own.in_channels, dtype=torch.bool)
    rest[layer.gate.read] = False
    return torch.cat([layer.gate.read, rest.nonzero().squeeze(1)])


def in_order(inputs: Tensor, order: Tensor) -> Tensor:
    """Return inputs [n, c, h, w] with their channels in an order, a copy with channels last."""
    return inputs.permute(0, 2, 3, 1).index_select(3, order).permute(0, 3, 1, 2)


def closed_of(layer: ChannelGated) -> Affine:
    """Return what the norm of base sums does with them, its own scale and shift included."""
    scale, shift = affine(layer.gate.norm)
    own, added = layer.gate.scale.detach(), layer.gate.shift.detach()
    return scale * own, shift * own + added


def rest_of(layer: ChannelGated, scale: Tensor | None) -> Conditional:
    """Return the part of a layer that its base path leaves, times a scale for each output channel.

    Groups leave other channels to each block of outputs: they have weights of zero where the base read them, so one of
    `parts` products is computed in vain.
    """
    own: Any = layer
    if not isinstance(layer, nn.Conv2d):
        raise CannotSkip(f"it is a {type(layer).__name__}, and only images have pixels that are skipped")
    whole = conditional_of(layer, 0)  # refuses what can't be split
    weight = own.weight.detach().clone()
    if scale is not None:
        weight *= scale[:, None, None, None]
    _, read, groups = layer.base_path()
    first = int(read.stop) if groups == 1 and isinstance(read, slice) else 0
    if layer.gate.gating.base == "strongest":
        weight, first = weight[:, order_of(layer)], len(layer.gate.read)
    if groups > 1:
        channels = torch.arange(own.in_channels)[read].view(groups, -1)
        for rows, of_group in zip(weight.chunk(groups), channels, strict=True):
            rows[:, of_group] = 0
    how: dict[str, Any] = {"stride": whole.stride, "padding": whole.padding, "dilation": whole.dilation}
    return conditional(weight[:, first:], **how, first=first)


def _placed(sums: Tensor, by: Affine) -> Tensor:
    scale, shift = by
    return torch.addcmul(column(shift, sums), sums, column(scale, sums))
