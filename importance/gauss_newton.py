"""Gauss-Newton: OBD with the curvature of the network's own predictions; the data need no labels.

The Gauss-Newton matrix of the mean cross-entropy is the Fisher matrix with labels drawn from the softmax of the logits:
Martens, "New Insights and Perspectives on the Natural Gradient Method", arXiv:1412.1193, section 9. Its diagonal is
estimated by drawn labels, as in Dangel et al., "BackPACK", ICLR 2020, arXiv:1912.10985 (DiagGGN-MC): without bias, and
with the less noise the more `draws`. Unlike the true Hessian's it is never negative.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from elastic.errors import DataError
from elastic.importance.batches import Batches, cross_entropy
from elastic.importance.obd import saliency
from elastic.importance.per_sample import mean_squared_gradients
from elastic.importance.reduction import Reduction, reduce_over_units
from elastic.importance.seam import Scores
from elastic.importance.weights import weights_of
from elastic.plan import Plan


@dataclass(frozen=True, eq=False)
class GaussNewton:
    """Score = sum of w^2 G / 2 over the weights of a unit, G the Gauss-Newton diagonal by `draws` labels a sample."""

    data: Batches
    draws: int = 1
    seed: int = 0
    reduction: Reduction = "sum"
    biases: bool = False

    def __call__(self, model: nn.Module, plan: Plan) -> Scores:
        """Return one score for each unit, [units]; the same for the same seed.

        Raises DataError if the network's output isn't logits [n, classes].
        """
        weights = weights_of(model, plan, biases=self.biases)
        generator = torch.Generator().manual_seed(self.seed)
        totals = {name: torch.zeros_like(weight, dtype=torch.float64) for name, weight in weights.items()}
        for _ in range(self.draws):
            found = mean_squared_gradients(
                model, weights, self.data, cross_entropy, labeller=lambda outputs: _drawn(outputs, generator)
            )
            for name, total in totals.items():
                total += found[name] / self.draws
        return reduce_over_units(saliency(weights, totals), plan, self.reduction)


def _drawn(outputs: Any, generator: torch.Generator) -> Tensor:
    if not isinstance(outputs, Tensor) or outputs.dim() != 2:
        what = list(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
        raise DataError(f"the network returns {what}, not logits [n, classes]; labels can't be drawn, use `obd`")
    chances = outputs.detach().double().softmax(1).cpu()
    return torch.multinomial(chances, 1, generator=generator).squeeze(1).to(outputs.device)
