"""Learning: what draws thresholds up, beside the loss: a penalty towards a target, or the price of a budget.

Thresholds are trained apart, without decay. With a budget a controller raises the price of what is computed while more
is than should be at this point (`elastic.gates.steering`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from elastic.costs import CostModel
from elastic.dynamic.counting import Counter
from elastic.dynamic_gating import Deciding
from elastic.errors import TargetError
from elastic.gates.steering import Steering
from elastic.plan import Plan
from elastic.recipes import Recipe
from elastic.tracing import Example
from elastic.training import Hook
from elastic.training.processes import count_processes, sum_over_processes


class Gate(Protocol):
    """What a gated layer has."""

    counter: Counter
    threshold: nn.Parameter

    def drawn(self) -> Tensor:
        """Return how far its thresholds are from where they are drawn, summed over them as the penalty has it."""


@dataclass(frozen=True, eq=False)
class Price:
    """The cost of an image in shares of the whole, by what gates are open: layers by name, and all others.

    `positions` are those of each layer for one image.
    """

    counters: Mapping[str, Counter]
    positions: Mapping[str, int]
    elsewhere: int

    @property
    def whole(self) -> int:
        """What an image costs with all gates open."""
        return self.elsewhere + sum(self.positions[name] * each.full for name, each in self.counters.items())

    @property
    def least(self) -> float:
        """The share with all gates closed."""
        found = self.elsewhere + sum(self.positions[name] * each.base for name, each in self.counters.items())
        return found / self.whole

    def __call__(self) -> Tensor:
        """Return the share that the images of the last run in training cost, a scalar with gradients."""
        found: Any = self.least
        for name, each in self.counters.items():
            assert each.share is not None
            weight = self.positions[name] * (each.full - each.base) / self.whole
            found = found + weight * each.share.float()
        assert isinstance(found, Tensor)
        return found


@dataclass(eq=False)
class Deciders(Hook):
    """Trains what decides; `others` learn apart too, and `clips` have a price on their squares."""

    gates: Mapping[str, Gate]
    price: Price
    gating: Deciding
    others: Sequence[nn.Parameter] = ()
    clips: Sequence[Tensor] = ()
    clip_price: float = 0.0
    shares: list[float] = field(default_factory=list)  # of the cost, in the steps of this epoch

    def __post_init__(self) -> None:
        """Begin. Raises TargetError for a budget below what is always computed."""
        budget, least = self.gating.budget, self.price.least
        if budget is not None and budget < least:
            raise TargetError(
                f"a budget of {budget:.1%} can't be met: with all gates closed {least:.1%} is computed; raise it, or "
                "gate more layers"
            )
        self.apart, self.rate = [*self._thresholds(), *self.others], self.gating.rate
        self.steering = self._steering(1)

    def settings(self) -> Mapping[str, Any]:
        """Return which layers decide, and how it is learned."""
        return {"gates": list(self.gates), "elsewhere": self.price.elsewhere, **self.gating.model_dump(mode="json")}

    def begin(self, recipe: Recipe, steps: int) -> None:
        """Learn how many steps there will be."""
        self.steering = self._steering(steps)

    def penalty(self) -> Tensor:
        """Return what thresholds and what is computed cost."""
        found = self.gating.strength * torch.stack([gate.drawn() for gate in self.gates.values()]).sum()
        if self.clips:
            found = found + self.clip_price * torch.stack(list(self.clips)).square().sum()
        share = self.price()
        self.steering.paid = float(sum_over_processes(share)) / count_processes()
        if self.steering.step == 0:
            self.steering.first = self.steering.paid
        self.shares.append(self.steering.paid)
        if self.gating.budget is not None:
            found = found + self.now * sum(each.numel() for each in self._thresholds()) * share
        for counter in self.price.counters.values():
            counter.share = None
        return found

    def after_step(self) -> None:
        """Go on to the next strength."""
        self.steering.go_on()

    def after_epoch(self, epoch: int, epochs: int) -> Mapping[str, float]:
        """Tell what the images of this epoch cost, and the price."""
        cost = float(np.mean(self.shares)) if self.shares else 0.0
        self.shares.clear()
        return {"cost": cost} if self.gating.budget is None else {"cost": cost, "strength": self.now}

    def state(self) -> dict[str, Tensor]:
        """Return all that it remembers."""
        first = torch.tensor(self.steering.first, dtype=torch.float64)
        shares = torch.tensor(self.shares, dtype=torch.float64)
        return {"steering": self.steering.state(), "first": first, "shares": shares}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Change it to what `state` returned."""
        self.steering.load(state["steering"])
        self.steering.first = float(state["first"])
        self.shares[:] = state["shares"].tolist()

    @property
    def now(self) -> float:
        """The price in this step; below zero where less is spent than should be: what is closed may open."""
        steering = self.steering
        return steering.sum + steering.proportional * (steering.paid - steering.goal)

    def _thresholds(self) -> Iterator[nn.Parameter]:
        for gate in self.gates.values():
            yield gate.threshold
            above = getattr(gate, "threshold_above", None)
            if above is not None:
                yield above

    def _steering(self, steps: int) -> Steering:
        gating = self.gating
        return Steering(
            steps, 0.0, gating.budget, ramp=gating.ramp, proportional=gating.proportional, integral=gating.integral
        )


def positions_of(plan: Plan, counters: Mapping[str, Counter], example: Example) -> dict[str, int]:
    """Return how many positions each gated layer has for one image, by a plan that was traced with the example."""
    images = _images_of(example)
    gated = {op.weight: op for op in plan.operations if op.weight and op.weight.removesuffix(".weight") in counters}
    return {
        weight.removesuffix(".weight"): operation.macs * plan.tensors[weight].shape[0] // images
        for weight, operation in gated.items()
    }


def macs_elsewhere(plan: Plan, counters: Mapping[str, Counter], example: Example) -> int:
    """Return the MACs of one image in layers without gates."""
    theirs = sum(count * counters[name].macs for name, count in positions_of(plan, counters, example).items())
    return CostModel(plan).dense.macs // _images_of(example) - theirs


def _images_of(example: Example) -> int:
    return len(next(each for each in tree_leaves(example) if isinstance(each, Tensor)))
