"""Closing: what a step adds to the loss for the weights whose gates are open, and gates that learn faster than weights.

The price is lambda times the sum of the gates, of their expectations where they are noisy. An optimiser such as Adam
moves a logit by about its learning rate a step, whatever lambda is, and an open gate is a long way from a closed one:
gates therefore have a learning rate of their own, a multiple of the weights'. They have no decay, which would close
them without a reason.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from elastic.gates.opening import Gates
from elastic.gates.steering import Steering
from elastic.training import Hook

THRESHOLD = 0.01  # below which a gate is closed, as published
RATES = {"adamw": 50.0, "sgd": 1e4}  # of gates, in learning rates of weights


@dataclass(eq=False)
class Closing(Hook):
    """Closes gates while a network is trained.

    `price` is what a gate of each weight pays, 1 in the mean over all gates; `steering.paid` is the share of gates that
    are open, and its strength that of the share: lambda times the number of gates.
    """

    gates: Mapping[str, Gates]
    price: Mapping[str, float]
    steering: Steering
    threshold: float = THRESHOLD
    rate: float = RATES["adamw"]

    def __post_init__(self) -> None:
        self.apart: list[nn.Parameter] = [each.logits for each in self.gates.values()]
        self.count = sum(logits.numel() for logits in self.apart)

    def settings(self) -> Mapping[str, Any]:
        """Return what it comes to, and how."""
        openings = {name: each.opening for name, each in self.gates.items()}
        own = {"threshold": self.threshold, "rate": self.rate, "price": dict(self.price), "openings": openings}
        return {**own, **self.steering.settings()}

    @property
    def strength(self) -> float:
        """Lambda in this step."""
        return self.steering.now / self.count

    def penalty(self) -> Tensor:
        """Return lambda times the sum of what the gates pay."""
        sums = torch.stack([each.priced().sum() for each in self.gates.values()])  # [layers]
        with torch.no_grad():
            closed = sum(int((each.soft() < self.threshold).sum()) for each in self.gates.values())
        self.steering.paid = 1 - closed / self.count
        return self.strength * (sums * sums.new_tensor([self.price[name] for name in self.gates])).sum()

    def after_step(self) -> None:
        """Go on to the next strength."""
        self.steering.go_on()

    @torch.no_grad()
    def after_epoch(self, epoch: int, epochs: int) -> Mapping[str, float]:
        """Tell how far the gates are closed on average, the share that is, and lambda."""
        opened = torch.cat([each.soft().flatten() for each in self.gates.values()])
        return {
            "sparsity_soft": 1 - float(opened.double().mean()),
            "sparsity_hard": float((opened < self.threshold).double().mean()),
            "strength": self.strength,
        }

    def state(self) -> dict[str, Tensor]:
        """Return the steering; logits are the network's own."""
        return {"steering": self.steering.state()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Change the steering to what `state` returned."""
        self.steering.load(state["steering"])
