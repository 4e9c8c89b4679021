"""Learning gates: what a step adds to the loss for what the network costs, and how gates become binary.

The price has a strength (lambda). Given a target the strength is found while training: a controller with a proportional
and an integral term raises it while the network costs more than it should at this point, and lowers it where it costs
less. The goal falls from the whole cost to the target in the first part of the steps.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from elastic.gates.channels.gated import Gated
from elastic.gates.channels.price import Price
from elastic.training import Hook


@dataclass(frozen=True)
class Annealing:
    """Temperatures: `start` in the first epoch, times `decay` in each after it, never below `least`."""

    start: float = 5.0
    least: float = 0.5
    decay: float = 0.9

    def at(self, epoch: int) -> float:
        """Return the temperature of an epoch, from 1."""
        return max(self.least, self.start * self.decay ** (epoch - 1))


@dataclass(frozen=True)
class Aim:
    """What gates are to come to: a share of the dense cost, or, without one, whatever a fixed strength makes of it."""

    target: float | None = None
    strength: float = 0.0  # of the price, or where the controller begins
    ramp: float = 0.5  # share of the steps in which the goal falls to the target
    proportional: float = 20.0
    integral: float = 0.05  # per step
    polarisation: float = 0.0  # strength of what drives gates away from their mean


class Learning(Hook):
    """Trains the gates of a network."""

    def __init__(
        self, gated: Gated, price: Price, aim: Aim, annealing: Annealing, *, steps: int, rate: float = 1.0
    ) -> None:
        """Begin at the first of so many steps; gates have `rate` times the learning rate of weights."""
        self.gated, self.price, self.aim, self.annealing, self.steps = gated, price, aim, annealing, steps
        self.apart, self.rate = [gated.gates.logits], rate
        self.step, self.sum = 0, aim.strength
        self.paid = 1.0  # share of the dense cost, in the last step
        gated.gates.temperature.fill_(annealing.at(1))

    @property
    def strength(self) -> float:
        """The strength of the price now."""
        if self.aim.target is None:
            return self.aim.strength
        return max(0.0, self.sum + self.aim.proportional * (self.paid - self.goal))

    @property
    def goal(self) -> float:
        """The share of the dense cost that the network should have now."""
        if self.aim.target is None:
            return 0.0
        done = min(1.0, self.step / max(1.0, self.aim.ramp * self.steps))
        return 1 - (1 - self.aim.target) * done

    def penalty(self) -> Tensor:
        """Return the price of the gates at its strength, and how far they are from being polarised."""
        opened = self.gated.gates.priced()
        paid = self.price(opened)
        self.paid = float(paid.detach())
        found = self.strength * paid
        if self.aim.polarisation:
            found = found - self.aim.polarisation * (opened - opened.mean()).abs().mean()
        return found.float()

    def after_step(self) -> None:
        """Go on with the controller."""
        self.step += 1
        if self.aim.target is not None:
            self.sum = max(0.0, self.sum + self.aim.integral * (self.paid - self.goal))

    def after_epoch(self, epoch: int, epochs: int) -> Mapping[str, float]:
        """Lower the temperature; tell densities, costs, temperature and strength."""
        gates = self.gated.gates
        with torch.no_grad():
            hard, soft = gates.hard(), gates.priced()
            told = {
                "density_soft": float(soft.mean()),
                "density_hard": float(hard.mean()),
                f"{self.price.quantity}_expected": float(self.price(soft)),
                f"{self.price.quantity}_hard": float(self.price(hard)),
                "temperature": float(gates.temperature),
                "strength": self.strength,
            }
        gates.temperature.fill_(self.annealing.at(epoch + 1))
        return told

    def state(self) -> dict[str, Tensor]:
        """Return the controller; logits and temperature are the model's own."""
        return {"controller": torch.tensor([self.step, self.sum, self.paid], dtype=torch.float64)}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Change the controller to what `state` returned."""
        step, self.sum, self.paid = state["controller"].tolist()
        self.step = int(step)
