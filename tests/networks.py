"""The wirings that tests of other parts use; all of them are in `tests/wirings/`."""

from tests.wirings import basics, interfaces
from tests.wirings.basics import (
    chain,
    dense_block,
    depthwise,
    grouped,
    projected_residual,
    residual,
    tied_weights,
    transposed_grouped,
)
from tests.wirings.registry import WIRINGS as EVERY
from tests.wirings.registry import Wired, Wiring, conv, mean

WIRINGS = {
    name: wiring for name, wiring in EVERY.items() if wiring.make.__module__ in (basics.__name__, interfaces.__name__)
}

__all__ = [
    "WIRINGS", "Wired", "Wiring", "chain", "conv", "dense_block", "depthwise", "grouped", "mean",
    "projected_residual", "residual", "tied_weights", "transposed_grouped",
]  # fmt: skip
