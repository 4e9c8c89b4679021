"""Gates: scores that were learnt beside the weights, one gate for each unit.

Liu et al., "Network Slimming", ICCV 2017, section 3, rank channels so, with a norm's own scale for the gate: the case
in which no further tensor is needed. This criterion reads gates, it doesn't train them.
"""

from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from elastic.errors import PlanMismatch
from elastic.importance.seam import Scores
from elastic.plan import Plan


@dataclass(frozen=True, eq=False)
class Gates:
    """Score = |gate|."""

    gates: Tensor | Scores

    def __call__(self, model: nn.Module, plan: Plan) -> Scores:
        """Return one score for each unit, [units].

        Raises PlanMismatch if there isn't one gate for each unit.
        """
        gates = self.gates.detach().double().cpu().numpy() if isinstance(self.gates, Tensor) else np.asarray(self.gates)
        if gates.shape != (plan.units,):
            raise PlanMismatch(f"gates of shape {list(gates.shape)} for {plan.units} units; give one for each unit")
        return np.abs(gates.astype(np.float64))
