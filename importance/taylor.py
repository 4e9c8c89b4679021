"""Taylor: how much the loss would change, to first order, if a unit's weights were zero.

Molchanov et al., "Importance Estimation for Neural Network Pruning", CVPR 2019, arXiv:1906.10771, section 3: the loss
changes, squared, by (g w)^2 for one weight, and by (sum of g w)^2 for weights that leave together, where signs may
cancel. The sum of |g w|, in which they don't, is the saliency of Lee et al., "SNIP", ICLR 2019, arXiv:1810.02340,
section 4.1, and what torch-pruning calls Taylor. g is the gradient of the mean loss over all data. Norm weights count
as all others do.
"""

from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from elastic.importance.batches import Batches, Loss, cross_entropy
from elastic.importance.gradients import mean_gradients
from elastic.importance.reduction import Reduction, reduce_over_units
from elastic.importance.seam import Scores
from elastic.importance.weights import weights_of
from elastic.plan import Plan


@dataclass(frozen=True, eq=False)
class Taylor:
    """Score = sum of |w g| over the weights of a unit."""

    data: Batches
    loss: Loss = cross_entropy
    reduction: Reduction = "sum"
    biases: bool = False

    def __call__(self, model: nn.Module, plan: Plan) -> Scores:
        """Return one score for each unit, [units]."""
        products = _products(model, plan, self.data, self.loss, self.biases)
        return reduce_over_units({name: product.abs() for name, product in products.items()}, plan, self.reduction)


@dataclass(frozen=True, eq=False)
class TaylorSigned:
    """Score = (sum of w g over the weights of a unit)^2; by `mean` their mean squared, by `max` the largest squared."""

    data: Batches
    loss: Loss = cross_entropy
    reduction: Reduction = "sum"
    biases: bool = False

    def __call__(self, model: nn.Module, plan: Plan) -> Scores:
        """Return one score for each unit, [units]."""
        products = _products(model, plan, self.data, self.loss, self.biases)
        if self.reduction == "max":
            products = {name: product.abs() for name, product in products.items()}
        return np.square(reduce_over_units(products, plan, self.reduction))


def _products(model: nn.Module, plan: Plan, data: Batches, loss: Loss, biases: bool) -> dict[str, Tensor]:
    weights = weights_of(model, plan, biases=biases)
    gradients = mean_gradients(model, weights, data, loss)
    return {name: weight.detach() * gradients[name] for name, weight in weights.items()}
