"""Learning gates: what a step adds to the loss for what the network costs, and how gates become binary.

The price is the cost as the number of gates that it would be, so that a gate of average cost has 1, at a strength
(lambda) that is fixed or steered. What is steered is the cost of the network of hard gates: soft ones cost less than
they will once they are hard.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from elastic.gates.channels.aims import Aim, Pricing
from elastic.gates.channels.gated import Gated
from elastic.gates.channels.settling import hold_open
from elastic.gates.pacing import Pace
from elastic.gates.steering import Steering
from elastic.gating import Gating
from elastic.plan import Group
from elastic.recipes import Recipe
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
        self.gated, self.price, self.aim, self.gating = gated, price, aim, gating
        self.floors, self.judge = floors, judge
        self.apart = [gated.gates.logits]
        self.pace = Pace(gating.travel)
        with torch.no_grad():
            gated.gates.temperature.fill_(self._temperature(1))
            self.first = float(price(gated.gates.hard()))  # share of the dense cost
        self.steering = self._steering(1)

    def settings(self) -> Mapping[str, Any]:
        """Return what it comes to, and how."""
        aim = {"aim": self.aim.name, "price": self.price.quantity, "floors": [floor for _, floor in self.floors]}
        return {**aim, **self.gating.model_dump(mode="json")}

    def begin(self, recipe: Recipe, steps: int) -> None:
        """Learn how many steps there will be, and how long each has to be to come as far as asked."""
        self.steering = self._steering(steps)
        self.rate = self.pace.rate(recipe, steps)

    def penalty(self) -> Tensor:
        """Return the price of the gates at its strength, and how far they are from being polarised."""
        gates = self.gated.gates
        with torch.no_grad():
            self.steering.paid = float(self.price(gates.hard()))
        opened = gates.priced()
        found = self.steering.now * len(opened) * self.price(opened)
        if self.gating.polarisation:
            found = found - self.gating.polarisation * (opened - opened.mean()).abs().mean()
        return found.float()

    def before_step(self) -> None:
        """Make steps of gates as long as they have to be."""
        gradient = self.gated.gates.logits.grad
        if gradient is not None:
            self.steering.scale = self.pace.keep([gradient], gradient)

    def after_step(self) -> None:
        """Go on to the next strength, and hold open what has to stay."""
        hold_open(self.gated.gates, self.floors)
        self.steering.go_on()

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
                "strength": self.steering.now,
                **self._judged(),
            }
        if epoch < epochs:
            gates.temperature.fill_(self._temperature(epoch + 1))
        return told

    def state(self) -> dict[str, Tensor]:
        """Return the steering and what is known of gradients; logits and temperature are the model's own."""
        return {"steering": self.steering.state(), "pace": self.pace.state()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Change it to what `state` returned."""
        self.steering.load(state["steering"])
        self.pace.load(state["pace"])

    def _steering(self, steps: int) -> Steering:
        gating, aim = self.gating, self.aim
        found = Steering(
            steps, aim.strength, aim.share, ramp=gating.ramp, proportional=gating.proportional,
            integral=gating.integral, first=self.first,
        )  # fmt: skip
        found.scale = 0.0
        return found

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
