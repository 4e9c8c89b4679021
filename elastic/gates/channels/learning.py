"""Learning gates: what a step adds to the loss for what the network costs, and how gates become binary.

The price is the cost as the number of gates that it would be, so that a gate of average cost has 1, at a strength
(lambda). Given a target the strength is found while training: a controller with a proportional and an integral term
raises it while the network of hard gates costs more than it should at this point, and lowers it where it costs less:
soft gates cost less than they will once they are hard. The goal falls from what the network costs at first to the
target in the first part of the steps.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from elastic.gates.channels.aims import Aim, Pricing
from elastic.gates.channels.gated import Gated
from elastic.gates.channels.settling import hold_open
from elastic.gating import Gating
from elastic.plan import Group
from elastic.training import Hook


class Learning(Hook):
    """Trains the gates of a network."""

    def __init__(
        self,
        gated: Gated,
        price: Pricing,
        aim: Aim,
        gating: Gating,
        *,
        floors: Sequence[tuple[Group, int]] = (),
        judge: Callable[[Gated], float] | None = None,
    ) -> None:
        """Take over the gates of a network.

        `floors` are how many gates of a group stay open whatever they cost; `judge` gives the accuracy of a network
        that is told after each epoch, soft and hard.
        """
        self.gated, self.price, self.aim, self.gating, self.steps = gated, price, aim, gating, 1
        self.floors, self.judge = floors, judge
        self.apart, self.rate = [gated.gates.logits], gating.rate
        self.step, self.sum = 0, aim.strength
        with torch.no_grad():
            gated.gates.temperature.fill_(self._temperature(1))
            self.first = self.paid = float(price(gated.gates.hard()))  # shares of the dense cost

    def settings(self) -> Mapping[str, Any]:
        """Return what it comes to, and how."""
        aim = {"aim": self.aim.name, "price": self.price.quantity, "floors": [floor for _, floor in self.floors]}
        return {**aim, **self.gating.model_dump(mode="json")}

    def begin(self, steps: int) -> None:
        """Learn how many steps there will be."""
        self.steps = steps

    @property
    def strength(self) -> float:
        """The strength of the price now."""
        if self.aim.share is None:
            return self.aim.strength
        return max(0.0, self.sum + self.gating.proportional * (self.paid - self.goal))

    @property
    def goal(self) -> float:
        """The share of the dense cost that the network should have now; without a target 0."""
        if self.aim.share is None:
            return 0.0
        done = min(1.0, self.step / max(1.0, self.gating.ramp * self.steps))
        return self.first + (self.aim.share - self.first) * done

    def penalty(self) -> Tensor:
        """Return the price of the gates at its strength, and how far they are from being polarised."""
        gates = self.gated.gates
        with torch.no_grad():
            self.paid = float(self.price(gates.hard()))
        opened = gates.priced()
        found = self.strength * len(opened) * self.price(opened)
        if self.gating.polarisation:
            found = found - self.gating.polarisation * (opened - opened.mean()).abs().mean()
        return found.float()

    def after_step(self) -> None:
        """Go on with the controller, and hold open what has to stay."""
        self.step += 1
        hold_open(self.gated.gates, self.floors)
        if self.aim.share is not None:
            self.sum = max(0.0, self.sum + self.gating.integral * (self.paid - self.goal))

    def after_epoch(self, epoch: int, epochs: int) -> Mapping[str, float]:
        """Lower the temperature; tell densities, costs, temperature, strength and accuracies."""
        gates = self.gated.gates
        with torch.no_grad():
            hard, soft = gates.hard(), gates.priced()
            told = {
                "density_soft": float(soft.mean()),
                "density_hard": float(hard.mean()),
                f"{self.price.quantity}_soft": float(self.price(soft)),
                f"{self.price.quantity}_hard": float(self.price(hard)),
                "gate_temperature": float(gates.temperature),
                "strength": self.strength,
                **self._judged(),
            }
        if epoch < epochs:
            gates.temperature.fill_(self._temperature(epoch + 1))
        return told

    def state(self) -> dict[str, Tensor]:
        """Return the controller; logits and temperature are the model's own."""
        return {"controller": torch.tensor([self.step, self.sum, self.paid, self.first], dtype=torch.float64)}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Change the controller to what `state` returned."""
        step, self.sum, self.paid, self.first = state["controller"].tolist()
        self.step = int(step)

    def _temperature(self, epoch: int) -> float:
        return max(self.gating.coldest, self.gating.hottest * self.gating.cooling ** (epoch - 1))

    def _judged(self) -> dict[str, float]:
        if self.judge is None:
            return {}
        found = {}
        for name, is_soft in (("top1_soft", True), ("top1_hard", False)):
            self.gated.is_soft = is_soft
            found[name] = self.judge(self.gated)
        return found
