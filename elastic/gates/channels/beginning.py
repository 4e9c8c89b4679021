"""Beginning: how far gates are open at first: all alike, or by what a criterion says of their units.

With a prior the gates begin in the order in which units would leave, and, where there is a target, with the network of
open gates at the target: those near the threshold are as often open as closed, and learn which they should be; far ones
stay what they are.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from elastic.allocation import rank
from elastic.gates.opening import Gates
from elastic.importance import score
from elastic.importance.batches import Batches
from elastic.plan import BoolArray, IntArray, Plan
from elastic.ranking import Ranking
from elastic.targets import QUANTITIES, parse_target

SPREAD = 0.8  # of logits around where they begin, without a target
SLOPE = 2.0  # logits of one half of all units, in logits where gates begin

FloatArray = npt.NDArray[np.float64]


def places_of(
    prior: str, model: nn.Module, plan: Plan, quantity: str, data: Batches, bounds: Mapping[str, Any], seed: int = 0
) -> FloatArray:
    """Return the place of each unit in the order of leaving by a criterion, -1 the first to 1 the last, [units].

    Raises what `score` raises.
    """
    target = parse_target(f"{quantity if quantity in QUANTITIES else 'macs'}=50%")  # units compete for what is priced
    how = Ranking(prior).settled([target], has_data=True)
    return places_in(rank(plan, score(model, plan, prior, seed=seed, data=data), **how.allocation, **bounds))


def places_in(order: IntArray) -> FloatArray:
    """Return the place of each unit in an order, -1 the first to 1 the last, [units]."""
    places = np.empty(len(order))
    places[order] = np.linspace(-1, 1, len(order))
    return places


@torch.no_grad()
def begin_by(
    places: FloatArray, gates: Gates, begin: float, settle: Callable[[FloatArray], BoolArray] | None = None
) -> None:
    """Change the logits of gates that are not closed for good to follow the places of units.

    `settle` says which units stay if they leave in the order of some numbers; without it all are open.
    """
    closed = (gates.logits < -begin * 10).cpu().numpy()
    if settle is None:
        logits = begin * (1 + SPREAD * places)
    else:
        stays = settle(np.where(closed, -10.0, places))
        threshold = (places[~stays & ~closed].max(initial=-1.0) + places[stays].min(initial=1.0)) / 2
        logits = SLOPE * begin * (places - threshold)
    found = torch.from_numpy(logits).to(gates.logits)
    is_closed = torch.from_numpy(closed).to(gates.logits.device)
    gates.logits.copy_(torch.where(is_closed, gates.logits, found))
