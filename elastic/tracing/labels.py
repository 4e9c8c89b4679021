"""What a source of labels gives: an arbitrary number for each position of each axis, and why some are frozen."""

from dataclasses import dataclass, field

import numpy as np

from elastic.plan import NEVER, Axis, IntArray


@dataclass(eq=False)
class Labels:
    """Labels by axis, equal where positions leave together, NEVER where they don't leave.

    `reasons` says why, for each axis with positions that can't; `output_axis` names the axis of a weight that carries
    its layer's outputs where it isn't the first (transposed convolutions, embeddings).
    """

    axes: dict[Axis, IntArray] = field(default_factory=dict)
    reasons: dict[Axis, str] = field(default_factory=dict)
    output_axis: dict[str, int] = field(default_factory=dict)

    def freeze(self, labels: IntArray, reason: str) -> None:
        """Change these labels to NEVER wherever they are."""
        for home, found in self.axes.items():
            if (hit := np.isin(found, labels) & (found != NEVER)).any():
                self.axes[home] = np.where(hit, NEVER, found)
                self.reasons.setdefault(home, reason)
