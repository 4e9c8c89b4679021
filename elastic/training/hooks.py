"""Hooks: what a training does beside the optimiser and the loss of its recipe, in each step and after each epoch."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from elastic.recipes import Recipe


class Hook:
    """Has a say in a training; one that goes on gives it back what it remembers."""

    apart: Sequence[nn.Parameter] = ()  # parameters that are trained in a group of their own, without decay
    rate: float = 1.0  # of these, in shares of the recipe's learning rate
    is_over: bool = False  # whether the training ends with the epoch that `after_epoch` was called for last

    def settings(self) -> Mapping[str, Any]:
        """Return, as plain data, what decides what it does; a training goes on only with the same."""
        return {}

    def begin(self, recipe: Recipe, steps: int) -> None:
        """Learn how weights are trained, and in how many steps, those that are done already among them."""

    def penalty(self) -> Tensor | None:
        """Return what is added to the mean loss over the images of a step, a scalar."""
        return None

    def before_step(self) -> None:
        """Do what has to be done when gradients are there, before the optimiser changes the weights."""

    def after_step(self) -> None:
        """Do what has to be done when the optimiser has changed the weights."""

    def after_epoch(self, epoch: int, epochs: int) -> Mapping[str, float]:
        """Do the same at the end of an epoch, from 1 to `epochs`; return numbers that its record is to tell."""
        return {}

    def state(self) -> dict[str, Tensor]:
        """Return all that it remembers."""
        return {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Change what it remembers to what `state` returned."""
