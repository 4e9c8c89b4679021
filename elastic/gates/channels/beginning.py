"""Beginning: how far gates are open at first: all alike, or by what a criterion says of their units.

With a prior a gate begins at (1 - SPREAD) to (1 + SPREAD) times the logit of the others, by the place of its unit in
the order in which units would leave; so what is learned starts from a network that is known to be good.
"""

import numpy as np
import torch
from torch import nn

from elastic.allocation import rank
from elastic.gates.opening import Gates
from elastic.gating import Gating
from elastic.importance import score
from elastic.importance.batches import Batches
from elastic.plan import Plan
from elastic.ranking import Ranking
from elastic.targets import QUANTITIES, parse_target

SPREAD = 0.8


def begin(gates: Gates, gating: Gating, model: nn.Module, plan: Plan, quantity: str, data: Batches) -> None:
    """Change the logits to those that gates begin with. Raises what `score` raises for the prior."""
    nn.init.constant_(gates.logits, gating.begin)
    if gating.prior is None:
        return
    target = parse_target(f"{quantity if quantity in QUANTITIES else 'macs'}=50%")  # units compete for what is priced
    how = Ranking(gating.prior).settled([target], has_data=True)
    order = rank(plan, score(model, plan, gating.prior, data=data), **how.allocation)
    place = np.empty(plan.units)
    place[order] = np.linspace(-1, 1, plan.units)
    with torch.no_grad():
        gates.logits.mul_(torch.from_numpy(1 + SPREAD * place).to(gates.logits))
