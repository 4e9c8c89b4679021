"""Opening: from a unit's logit to how far its gate is open.

* `sigmoid`: 1 / (1 + exp(-logit / T)); binary as the temperature T falls.
* `hard-concrete`: Louizos et al., "Learning Sparse Neural Networks through L0 Regularization", ICLR 2018, section 2.2:
  a noisy sigmoid, stretched over 0 and 1 and clipped, so that exact zeros and ones have a probability. What is priced
  is the probability of not being zero (equation 12).
* `binary`: drawn, open with the probability that the sigmoid gives, and with the sigmoid's gradient: Bengio et al.,
  "Estimating or Propagating Gradients", arXiv:1308.3432, section 4.

In eval mode, and once hard, a gate is 1 where its logit is above 0, and 0 elsewhere.
"""

import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from elastic.errors import UnknownName

Opening = Literal["sigmoid", "hard-concrete", "binary"]
OPENINGS: tuple[str, ...] = get_args(Opening)
START = 2.0  # of logits
LOW, HIGH = -0.1, 1.1  # between which a hard concrete gate is stretched


class Gates(nn.Module):
    """One gate for each of so many units."""

    temperature: Tensor

    def __init__(self, units: int, opening: Opening = "sigmoid", *, temperature: float = 1.0) -> None:
        """Open them all, as far as a logit of `START` is. Raises UnknownName for another kind of opening."""
        super().__init__()
        if opening not in OPENINGS:
            raise UnknownName(f"unknown opening {opening!r}; known: {', '.join(OPENINGS)}")
        self.opening = opening
        self.logits = nn.Parameter(torch.full((units,), START))
        self.register_buffer("temperature", torch.tensor(float(temperature)))

    def forward(self) -> Tensor:
        """Return how far each gate is open, [units], 0 to 1; with noise where the opening has some, in training."""
        if not self.training:
            return self.hard()
        if self.opening == "hard-concrete":
            return self._concrete()
        soft = self._sigmoid()
        return soft + (torch.bernoulli(soft) - soft).detach() if self.opening == "binary" else soft

    def soft(self) -> Tensor:
        """Return how far each gate is open without noise, [units]."""
        if self.opening == "hard-concrete":
            return _stretched(torch.sigmoid(self.logits))
        return self.hard() if self.opening == "binary" else self._sigmoid()

    def priced(self) -> Tensor:
        """Return what of each unit's cost is paid, [units]: the expectation that it stays."""
        if self.opening == "hard-concrete":
            return torch.sigmoid(self.logits - self.temperature * math.log(-LOW / HIGH))
        return self._sigmoid()

    def hard(self) -> Tensor:
        """Return 1 for each unit that stays, 0 for each that leaves, [units]."""
        return (self.logits > 0).to(self.logits.dtype)

    def _sigmoid(self) -> Tensor:
        return torch.sigmoid(self.logits / self.temperature)

    def _concrete(self) -> Tensor:
        noise = torch.rand_like(self.logits).clamp(1e-6, 1 - 1e-6)
        soft = torch.sigmoid((noise.logit() + self.logits) / self.temperature)
        return _stretched(soft)


def _stretched(soft: Tensor) -> Tensor:
    return (soft * (HIGH - LOW) + LOW).clamp(0, 1)
