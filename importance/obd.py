"""OBD: how much the loss would change, to second order, if a unit's weights were zero; curvature by the Fisher matrix.

LeCun, Denker, Solla, "Optimal Brain Damage", NIPS 1989, section 2: at a minimum the loss rises by h w^2 / 2 for each
weight, h the diagonal of the Hessian. Theis et al., "Faster gaze prediction with dense networks and Fisher pruning",
arXiv:1801.05787, section 3: the empirical Fisher in its place gives w^2 / 2N times the sum of g_n^2, g_n the gradient
of sample n's own loss. (Molchanov et al., CVPR 2019, square the same gradients.)
"""

from dataclasses import dataclass

from torch import Tensor, nn

from elastic.importance.batches import Batches, Loss, cross_entropy
from elastic.importance.per_sample import mean_squared_gradients
from elastic.importance.reduction import Reduction, reduce_over_units
from elastic.importance.seam import Scores
from elastic.importance.weights import weights_of
from elastic.plan import Plan


@dataclass(frozen=True, eq=False)
class Obd:
    """Score = sum of w^2 E[g^2] / 2 over the weights of a unit, g the gradient of one sample's loss.

    `loss` is the mean over a batch's samples.
    """

    data: Batches
    loss: Loss = cross_entropy
    reduction: Reduction = "sum"
    biases: bool = False

    def __call__(self, model: nn.Module, plan: Plan) -> Scores:
        """Return one score for each unit, [units]."""
        weights = weights_of(model, plan, biases=self.biases)
        curvature = mean_squared_gradients(model, weights, self.data, self.loss)
        return reduce_over_units(saliency(weights, curvature), plan, self.reduction)


def saliency(weights: dict[str, nn.Parameter], curvature: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return h w^2 / 2 for each element, by name."""
    return {name: curvature[name] * weight.detach().double().square() / 2 for name, weight in weights.items()}
