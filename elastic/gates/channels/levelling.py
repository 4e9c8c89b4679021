"""Levelling: from what stays at each target, the largest network first, to levels, and to scores of the same order."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from elastic.plan import BoolArray, LevelArray

FloatArray = npt.NDArray[np.float64]


def levels_of(stays: Sequence[BoolArray]) -> LevelArray:
    """Return the level at which each unit first exists, [units], from which units stay in each network, [units]."""
    levels: LevelArray = (len(stays) - np.stack(stays).sum(0)).astype(np.uint8)
    return levels


def scores_of(open_by: Sequence[FloatArray], levels: LevelArray) -> FloatArray:
    """Return scores by which units leave in the order in which they closed, [units], none below 0.

    A unit has the number, 0 to 1, that tells how far it was open in the network that closed it, of `open_by`, and 1
    more for each network that it lived through.
    """
    closing = np.maximum(0, len(open_by) - levels.astype(np.int64))  # which closed it; the last for the others
    number = np.minimum(closing, len(open_by) - 1)
    found: FloatArray = np.stack(open_by)[number, np.arange(len(levels))] + closing
    return found
