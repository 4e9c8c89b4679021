"""Opening: from a gate's logit to how far the gate is open.

* `sigmoid`: 1 / (1 + exp(-logit / T)); binary as the temperature T falls.
* `hard-concrete`: Louizos et al., "Learning Sparse Neural Networks through L0 Regularization", ICLR 2018, section 2.2:
  a noisy sigmoid, stretched over 0 and 1 and clipped, so that exact zeros and ones have a probability. What is priced
  is the probability of not being zero (equation 12).
* `binary`: drawn, open with the probability that the sigmoid gives, and with the sigmoid's gradient: Bengio et al.,
  "Estimating or Propagating Gradients", arXiv:1308.3432, section 4.
* `hard-sigmoid`: logit / 6T + 1/2, clipped to 0 and 1: a gate reaches zero, and then feels nothing any more.

In eval mode, and once hard, a gate is 1 where its logit is above 0, and 0 elsewhere.
"""

import math
from collections.abc import Sequence
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from elastic.errors import UnknownName

Opening = Literal["sigmoid", "hard-concrete", "binary", "hard-sigmoid"]
OPENINGS: tuple[str, ...] = get_args(Opening)
START = 2.0  # of logits
LOW, HIGH = -0.1, 1.1  # between which a hard concrete gate is stretched


class Gates(nn.Module):
    """One gate for each of so many units, or for each element of a tensor."""

    temperature: Tensor

    def __init__(self, shape: int | Sequence[int], opening: Opening = "sigmoid", *, temperature: float = 1.0) -> None:
        """Open them all, as far as a logit of `START` is. Raises UnknownName for another kind of opening."""
        super().__init__()
        if opening not in OPENINGS:
            raise UnknownName(f"unknown opening {opening!r}; known: {', '.join(OPENINGS)}")
        self.opening = opening
        self.logits = nn.Parameter(torch.full((shape,) if isinstance(shape, int) else tuple(shape), START))
        self.register_buffer("temperature", torch.tensor(float(temperature)))

    def forward(self) -> Tensor:
        """Return how far each gate is open, 0 to 1, hard in eval mode; in training with noise where there is some."""
        return self.drawn() if self.training else self.hard()

    def drawn(self) -> Tensor:
        """Return how far each gate is open in a step of training, with noise where the opening has some."""
        if self.opening == "hard-concrete":
            return self._concrete()
        soft = self._slope()
        return soft + (torch.bernoulli(soft) - soft).detach() if self.opening == "binary" else soft

    def soft(self) -> Tensor:
        """Return how far each gate is open without noise; binary ones are hard.

        Of hard-concrete gates it is the estimate of Louizos et al., equation 13, which knows no temperature.
        """
        if self.opening == "hard-concrete":
            return _stretched(torch.sigmoid(self.logits))
        return self.hard() if self.opening == "binary" else self._slope()

    def priced(self) -> Tensor:
        """Return what of each gate's cost is paid: the expectation that what it stands for stays."""
        if self.opening == "hard-concrete":
            return torch.sigmoid(self.logits - self.temperature * math.log(-LOW / HIGH))
        return self._slope()

    def hard(self) -> Tensor:
        """Return 1 for each gate that stays open, 0 for each that closes."""
        return (self.logits > 0).to(self.logits.dtype)

    def _slope(self) -> Tensor:
        along = self.logits / self.temperature
        return F.hardsigmoid(along) if self.opening == "hard-sigmoid" else torch.sigmoid(along)

    def _concrete(self) -> Tensor:
        noise = torch.rand_like(self.logits).clamp(1e-6, 1 - 1e-6)
        soft = torch.sigmoid((noise.logit() + self.logits) / self.temperature)
        return _stretched(soft)


def _stretched(soft: Tensor) -> Tensor:
    return (soft * (HIGH - LOW) + LOW).clamp(0, 1)
