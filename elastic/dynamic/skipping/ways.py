"""Ways: how the conditional part may be computed, what each can do, and the number that its time depends on."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from elastic.dynamic.skipping.channels import add_channels
from elastic.dynamic.skipping.conditional import Conditional
from elastic.dynamic.skipping.dense import add_dense
from elastic.dynamic.skipping.masks import Kind, any_pixel, kind_of
from elastic.dynamic.skipping.rows import add_rows
from elastic.dynamic.skipping.tiles import add_tiles, tiled

Add = Callable[[Conditional, Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Way:
    """A function that changes the base, the kinds of masks that it takes, and how much of a mask it computes."""

    add: Add
    kinds: tuple[Kind, ...]
    count: Callable[[Tensor, int], int]  # of a mask for so many output channels


def count_rows(mask: Tensor, outputs: int) -> int:
    """Return how many windows are gathered."""
    return int((any_pixel(mask) if kind_of(mask, outputs) == "both" else mask).count_nonzero())


def count_tiles(mask: Tensor, outputs: int, side: int) -> int:
    """Return how many tiles have anything open."""
    return int(tiled(any_pixel(mask), side).any(3).count_nonzero())


def count_channels(mask: Tensor, outputs: int) -> int:
    """Return how many channels are open, over all images."""
    return int(mask.count_nonzero())


WITH_PIXELS: tuple[Kind, ...] = ("pixels", "blocks", "both")
DENSE = "dense"
WAYS = {
    DENSE: Way(add_dense, (*WITH_PIXELS, "channels"), lambda mask, outputs: mask.numel()),
    "rows": Way(add_rows, WITH_PIXELS, count_rows),
    "tiles of 4": Way(partial(add_tiles, side=4), WITH_PIXELS, partial(count_tiles, side=4)),
    "tiles of 8": Way(partial(add_tiles, side=8), WITH_PIXELS, partial(count_tiles, side=8)),
    "channels": Way(add_channels, ("channels",), count_channels),
}
