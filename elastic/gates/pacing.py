"""Pacing: how long the steps of logits are, so that they come far enough in the time that there is.

Gradients are divided by one number, their root mean square over steps and gates. Not gate by gate, as Adam does it:
then all that is useful rises alike, however useful it is.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from elastic.recipes import Recipe

MEAN_RATE = 0.5  # of a schedule, in shares of the greatest learning rate
MEMORY = 0.99  # of the mean of squared gradients
TINY = 1e-12


class Pace:
    """Steps with which a logit of common gradients comes as far as `travel` if all of them go one way."""

    def __init__(self, travel: float) -> None:
        self.travel, self.squares, self.step = travel, 0.0, 0

    def rate(self, recipe: Recipe, steps: int) -> float:
        """Return the learning rate of gates, in learning rates of a recipe."""
        momentum = recipe.momentum if recipe.optimiser == "sgd" else 0.0
        return self.travel * (1 - momentum) / (MEAN_RATE * steps * recipe.learning_rate)

    @torch.no_grad()
    def keep(self, gradients: Sequence[Tensor], of_logits: Tensor) -> float:
        """Change gradients to be divided by the root mean square of those of logits, and return it."""
        self.step += 1
        self.squares = MEMORY * self.squares + (1 - MEMORY) * float(of_logits.square().mean())
        scale: float = (self.squares / (1 - MEMORY**self.step)) ** 0.5
        for gradient in gradients:
            gradient.div_(scale + TINY)
        return scale

    def state(self) -> Tensor:
        """Return all that changes from step to step."""
        return torch.tensor([self.squares, self.step], dtype=torch.float64)

    def load(self, state: Tensor) -> None:
        """Change it to what `state` returned."""
        self.squares, step = state.tolist()
        self.step = int(step)
