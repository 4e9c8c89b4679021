"""Counting: how many positions of gated layers were computed in full, as whole numbers, and what that cost.

A position is one number of a layer's output. What is run in eval mode is counted, so sums are the same for any batches;
training tells shares of its own (`learning`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from elastic.errors import DataError, NothingToGate
from elastic.training.processes import sum_over_processes


class Counter(nn.Module):
    """Counts one layer's positions; `base` and `full` are what one costs, closed and open.

    `last` are the gates of the last run [n, c or 1, ..], `share` the mean of them, with gradients in training.
    """

    positions: Tensor
    opened: Tensor
    images: Tensor

    def __init__(self, base: int, full: int, macs: int) -> None:
        super().__init__()
        self.base, self.full, self.macs = base, full, macs
        self.last: Tensor | None = None
        self.share: Tensor | None = None
        for name in ("positions", "opened", "images"):
            self.register_buffer(name, torch.tensor(0), persistent=False)

    def forward(self, gates: Tensor, shape: torch.Size) -> None:
        """Count gates as those of an output of this shape, in eval mode; in training keep the share that is open."""
        self.last = gates.detach() > 0
        if self.training:
            self.share = gates.mean()
        else:
            self.positions += shape.numel()
            self.opened += self.last.count_nonzero() * (shape.numel() // gates.numel())
            self.images += shape[0]

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what belongs to a run: it can't be copied, for it has gradients."""
        return {**self.__dict__, "last": None, "share": None}


@dataclass(frozen=True)
class Spent:
    """What was spent on images, in MACs or operations of bits, and what all of it would have been."""

    images: int
    positions: int
    opened: int  # positions computed in full
    dense: int
    spent: int

    @property
    def share(self) -> float:
        """What was spent, in shares of all."""
        return self.spent / self.dense

    @property
    def open_share(self) -> float:
        """The share of positions of gated layers that were computed in full."""
        return self.opened / self.positions

    @property
    def fewer(self) -> float:
        """How many times less was spent."""
        return self.dense / self.spent


def counters(network: nn.Module) -> dict[str, Counter]:
    """Return the counters of the gated layers, by the layers' names. Raises NothingToGate if there are none."""
    found = {
        name.removesuffix(".gate.counter"): module
        for name, module in network.named_modules()
        if isinstance(module, Counter)
    }
    if not found:
        raise NothingToGate(f"{type(network).__name__} has no dynamic gates; put some into it first")
    return found


def reset(network: nn.Module) -> None:
    """Change all counters to zero."""
    for counter in counters(network).values():
        for buffer in counter.buffers():
            buffer.zero_()


def spent(network: nn.Module, *, of_processes: bool = False) -> dict[str, Spent]:
    """Return what each gated layer spent since the last `reset`, by name, of all processes together if asked.

    Raises NothingToGate, and DataError if nothing was run in eval mode since.
    """
    found = counters(network)
    counts = torch.stack([torch.stack([each.images, each.positions, each.opened]) for each in found.values()])
    if of_processes:
        counts = sum_over_processes(counts)
    if not counts[:, 1].all():
        raise DataError("nothing was run in eval mode since the counters began; run some images first")
    return {
        name: Spent(images, positions, open_, positions * each.full, positions * each.base + open_ * _rest(each))
        for (name, each), (images, positions, open_) in zip(found.items(), counts.tolist(), strict=True)
    }


def in_all(layers: Mapping[str, Spent], elsewhere: int = 0) -> Spent:
    """Return the sums over layers; `elsewhere` is what all other layers cost for each image (`Price.elsewhere`)."""
    each = list(layers.values())
    images = max(one.images for one in each)
    others = images * elsewhere
    return Spent(
        images,
        sum(one.positions for one in each),
        sum(one.opened for one in each),
        sum(one.dense for one in each) + others,
        sum(one.spent for one in each) + others,
    )


def _rest(counter: Counter) -> int:
    return counter.full - counter.base
