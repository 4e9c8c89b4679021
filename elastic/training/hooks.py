"""Hooks: what changes weights beside the optimiser, after each step and after each epoch."""

from collections.abc import Mapping

from torch import Tensor


class Hook:
    """Changes weights while they are trained; a training that goes on gives it back what it remembers."""

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
