"""Spending: what a network with gates computed, beside all of it, in the words in which it is told."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from elastic.dynamic.counting import Spent, counters, in_all, spent
from elastic.dynamic.precision.layers import PrecisionGated, average_bits
from elastic.modes import eval_mode


@dataclass(frozen=True)
class Spending:
    """What was spent on images since the counters began, in all and by layer; `average_bits` with precision gates.

    Channel gates count MACs of the whole network, precision gates operations of bits in the layers that have them.
    """

    unit: str
    all: Spent
    layers: dict[str, Spent]
    average_bits: float | None

    def metrics(self) -> dict[str, float]:
        """Return numbers for a file, in percent: what was open, and what was computed."""
        return {"open": 100 * self.all.open_share, "computed": 100 * self.all.share}

    def as_json(self) -> dict[str, Any]:
        """Return all of it for programs."""
        of = {"open_share": self.all.open_share, "share": self.all.share, "fewer": self.all.fewer, "unit": self.unit}
        shares = {name: {"open_share": each.open_share, "share": each.share} for name, each in self.layers.items()}
        return {**of, "average_bits": self.average_bits, "layers": shares}

    def __str__(self) -> str:
        """Return the same as a part of a sentence."""
        bits = "" if self.average_bits is None else f", {self.average_bits:.2f} bits in the mean"
        found = f"{self.all.open_share:.1%} of the gates open, {self.all.share:.1%} of {self.unit} computed"
        return f"{found} ({self.all.fewer:.2f} times fewer){bits}"


def spending(network: nn.Module, macs: int) -> Spending:
    """Return what a network spent since the last `reset`; `macs` are those of an image in all its layers.

    Raises NothingToGate, and DataError if nothing was run in eval mode since.
    """
    layers, found = spent(network), counters(network)
    if any(isinstance(module, PrecisionGated) for module in network.modules()):
        return Spending("operations of bits in gated layers", in_all(layers), layers, average_bits(network, layers))
    gated = sum(each.positions // each.images * found[name].macs for name, each in layers.items())
    return Spending("MACs", in_all(layers, max(0, macs - gated)), layers, None)


def elsewhere_of(network: nn.Module, macs: int, images: Tensor) -> int:
    """Return the MACs of an image in layers without gates, of a network of so many in all; counters count the images.

    Raises NothingToGate for a network without gates.
    """
    with eval_mode(network), torch.no_grad():
        network(images)
    found = spending(network, macs)
    return (found.all.dense - sum(each.dense for each in found.layers.values())) // found.all.images
