"""Steering: how strong a price is in each step, so that what is paid comes to a target.

Without a target the strength is fixed, but for the first steps, in which it rises from 0. With one a controller with a
proportional and an integral term raises the strength while more is paid than should be at this point, and lowers it
where less is. The goal falls from the whole to the target in the first part of the steps.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Steering:
    """The strength of a price of which 1 is paid where all gates are open."""

    steps: int
    strength: float  # of the price, or where the controller begins
    target: float | None = None  # of what is paid
    warm_up: float = 0.0  # share of the steps in which a fixed strength rises
    ramp: float = 0.5  # share of the steps in which the goal falls to the target
    proportional: float = 20.0
    integral: float = 300.0  # over all steps
    first: float = 1.0  # what is paid at first

    def __post_init__(self) -> None:
        self.step, self.sum, self.paid = 0, self.strength, self.first
        self.scale = 1.0  # of what is added for what is paid too much

    @property
    def now(self) -> float:
        """The strength in this step."""
        if self.target is None:
            return self.strength * min(1.0, (self.step + 1) / max(1.0, self.warm_up * self.steps))
        return max(0.0, self.sum + self.scale * self.proportional * (self.paid - self.goal))

    @property
    def goal(self) -> float:
        """What should be paid in this step."""
        if self.target is None:
            return 0.0
        return self.first + (self.target - self.first) * min(1.0, self.step / max(1.0, self.ramp * self.steps))

    def go_on(self) -> None:
        """Go on to the next step."""
        self.step += 1
        if self.target is not None:
            self.sum = max(0.0, self.sum + self.scale * self.integral / self.steps * (self.paid - self.goal))

    def state(self) -> Tensor:
        """Return all that changes from step to step."""
        return torch.tensor([self.step, self.sum, self.paid, self.scale], dtype=torch.float64)

    def load(self, state: Tensor) -> None:
        """Change it to what `state` returned."""
        step, self.sum, self.paid, self.scale = state.tolist()
        self.step = int(step)

    def settings(self) -> Mapping[str, float | None]:
        """Return what is fixed, for those who go on with it."""
        return dataclasses.asdict(self)
