"""Random: the control that every other criterion has to beat.

Li et al., "Revisiting Random Channel Pruning for Neural Network Compression", CVPR 2022, arXiv:2205.05676: with equal
training after the cut, random channels are close to chosen ones.
"""

from dataclasses import dataclass

import numpy as np
from torch import nn

from elastic.importance.seam import Scores
from elastic.plan import Plan


@dataclass(frozen=True)
class Random:
    """Scores drawn evenly from 0 to 1."""

    seed: int = 0

    def __call__(self, model: nn.Module, plan: Plan) -> Scores:
        """Return one score for each unit, [units]; the same for the same seed."""
        return np.random.default_rng(self.seed).random(plan.units)
