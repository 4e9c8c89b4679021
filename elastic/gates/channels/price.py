"""Price: what a network with gates costs, differentiable: the plan's own count, with gates in place of units.

A cost is a sum of products of widths. With the sum of gates for a width it is exact where gates are 0 or 1, and the
expectation where they are probabilities of units that are drawn for themselves, but for what one unit has on two axes
of one tensor.
"""

import numpy as np
import torch
from torch import Tensor

from elastic.allocation.sums import Sums
from elastic.costs import CostModel
from elastic.errors import TargetError, UnknownName
from elastic.plan import Plan
from elastic.targets import MEMORY, QUANTITIES, Quantity


class Price:
    """The cost of a plan's network in one quantity, as a share of the whole network's."""

    def __init__(self, plan: Plan, quantity: Quantity = "macs") -> None:
        """Raise UnknownName if it is no quantity, TargetError for memory."""
        if quantity == MEMORY:
            raise TargetError(
                "gates have no price of memory: it is the greatest of several sums, so only what is held at the peak "
                "would cost; learn gates with macs or size, and cut by them (elastic prune --gates FILE)"
            )
        if quantity not in QUANTITIES:
            raise UnknownName(f"unknown quantity {quantity!r}; known: {', '.join(QUANTITIES)}")
        self.quantity, self.dense = quantity, CostModel(plan).dense[quantity]
        sums = Sums(plan)
        products = sums.products(quantity)
        self.coefficients = torch.from_numpy(products.coefficients.astype(np.float64))
        self.factors = torch.from_numpy(products.factors)
        self.fixed = torch.from_numpy(sums.fixed.astype(np.float64))
        self.units, self.axes = torch.from_numpy(sums.units), torch.from_numpy(sums.axes)
        whole = sums.total(quantity, sums.lengths(np.ones(plan.units, np.bool_)))
        self.header = self.dense - whole  # of a file; 0 for all that is no size

    def __call__(self, gates: Tensor) -> Tensor:
        """Return the share of the dense cost that gates [.., units] leave, float64 [..]: 1 where all are open."""
        if self.fixed.device != gates.device:
            for name, value in list(vars(self).items()):
                if isinstance(value, Tensor):
                    setattr(self, name, value.to(gates.device))
        fixed = self.fixed.expand(*gates.shape[:-1], -1)
        lengths = fixed.index_add(-1, self.axes, gates.double()[..., self.units])
        total = (self.coefficients * lengths[..., self.factors].prod(-1)).sum(-1) + self.header
        return total / self.dense
