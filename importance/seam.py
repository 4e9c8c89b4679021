"""The seam for criteria: a criterion is called with a model and its plan, and returns one score for each unit."""

from typing import Protocol

import numpy as np
import numpy.typing as npt
from torch import nn

from elastic.plan import Plan

Scores = npt.NDArray[np.float64]


class Criterion(Protocol):
    """What ranks units; the larger its score, the more is lost with the unit."""

    def __call__(self, model: nn.Module, plan: Plan) -> Scores:
        """Return one score for each unit, [units], finite; the model stays as it is."""
        ...
