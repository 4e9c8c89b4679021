"""Hutchinson: OBD with the diagonal of the true Hessian, estimated by random probes.

diag(H) = E[v * Hv] for v of random signs: Bekas, Kokiopoulou, Saad, "An estimator for the diagonal of a matrix",
Applied Numerical Mathematics 57 (2007), section 2; Yao et al., "ADAHESSIAN", arXiv:2006.00719, section 3, for networks.
A score may be negative: away from a minimum, or by the noise of few probes. Its sign is kept, since only then the
estimate is right on average.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from elastic.importance.batches import Batches, Loss, batches, cross_entropy, run, undisturbed
from elastic.importance.gradients import check_finite, gradients_of
from elastic.importance.informing import Guesses
from elastic.importance.obd import saliency
from elastic.importance.reduction import Reduction, reduce_over_units
from elastic.importance.seam import Scores
from elastic.importance.weights import weights_of
from elastic.plan import Plan


@dataclass(frozen=True, eq=False)
class Hutchinson:
    """Score = sum of w^2 h / 2 over the weights of a unit, h the Hessian's diagonal by `probes` probes a batch."""

    data: Batches
    loss: Loss = cross_entropy
    probes: int = 8
    seed: int = 0
    reduction: Reduction = "sum"
    biases: bool = False

    def __call__(self, model: nn.Module, plan: Plan) -> Scores:
        """Return one score for each unit, [units]; the same for the same seed."""
        weights = weights_of(model, plan, biases=self.biases)
        generator = torch.Generator().manual_seed(self.seed)
        totals = [torch.zeros_like(weight, dtype=torch.float64) for weight in weights.values()]
        samples, guesses = 0, Guesses()
        with undisturbed(model, gradients=True):
            for batch in batches(self.data, model, labelled=True):
                outputs = run(model, batch.inputs)
                guesses.add(outputs, batch.labels)
                gradients = gradients_of(self.loss(outputs, batch.labels), list(weights.values()), create_graph=True)
                for _ in range(self.probes):
                    for total, found in zip(totals, _probed(gradients, list(weights.values()), generator), strict=True):
                        total.add_(found, alpha=batch.samples / self.probes)
                samples += batch.samples
        curvature = dict(zip(weights, (total / samples for total in totals), strict=True))
        check_finite(curvature)
        guesses.warn_if_by_chance()
        return reduce_over_units(saliency(weights, curvature), plan, self.reduction)


def _probed(gradients: list[Tensor], weights: list[nn.Parameter], generator: torch.Generator) -> list[Tensor]:
    """Return v * Hv for one v of random signs."""
    signs = [torch.randint(0, 2, weight.shape, generator=generator).to(weight) * 2 - 1 for weight in weights]
    slope = torch.stack([(gradient * sign).sum() for gradient, sign in zip(gradients, signs, strict=True)]).sum()
    if not slope.requires_grad:
        return [torch.zeros_like(weight) for weight in weights]
    found = torch.autograd.grad(slope, weights, retain_graph=True, allow_unused=True)
    return [torch.zeros_like(s) if hv is None else s * hv for s, hv in zip(signs, found, strict=True)]
