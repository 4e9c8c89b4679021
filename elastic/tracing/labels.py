"""What a source of labels gives: an arbitrary number for each position of each axis, and why some are frozen."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from elastic.plan import NEVER, Axis, IntArray, Layer, Output


@dataclass(frozen=True, eq=False)
class Counted:
    """An operation that costs MACs; `along` are the labels of those of its axes that may lose some."""

    module: str
    kind: str
    weight: str | None
    macs: int
    along: tuple[IntArray, ...] = ()


@dataclass(eq=False)
class Labels:
    """Labels by axis, equal where positions leave together, NEVER where they don't leave.

    `reasons` says why, for each axis with positions that can't; `output_axis` names the axis of a weight that carries
    its layer's outputs where it isn't the first (transposed convolutions, embeddings). The rest is as in a plan, with
    these labels in place of units.
    """

    axes: dict[Axis, IntArray] = field(default_factory=dict)
    reasons: dict[Axis, str] = field(default_factory=dict)
    output_axis: dict[str, int] = field(default_factory=dict)
    operations: tuple[Counted, ...] = ()
    layers: tuple[Layer, ...] = ()
    outputs: tuple[Output, ...] = ()
    attributes: Mapping[tuple[str, str], IntArray] = field(default_factory=dict)

    def freeze(self, labels: IntArray, reason: str) -> None:
        """Change these labels to NEVER wherever they are on an axis."""
        dead = np.unique(labels[labels != NEVER])
        for home, found in self.axes.items():
            if (hit := np.isin(found, dead) & (found != NEVER)).any():
                self.axes[home] = np.where(hit, NEVER, found)
                self.reasons.setdefault(home, reason)
