"""Learning attention: gradient steps at a constant rate, each followed by the proximal step of |a|.

Behind norms attention begins where weights make good for it (`Attended.balance`), and the task's gradient is taken per
share of what a unit's attention was when the epoch began, squared. In shares r of that, a unit falls by the task's
gradient and by strength / a: what is least important pays most, as in the adaptive lasso (Zou, 2006). With the plain
gradient what begins low is held most: its weights were divided by little.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from elastic.alternating import Alternation
from elastic.attending.attended import Attended
from elastic.attending.bounding import LEAST, Floors, Price, divided, kept_open, within_goal
from elastic.attending.netting import soft_threshold
from elastic.plan import Plan
from elastic.quantise.quantising import Clipping
from elastic.recipes import Recipe
from elastic.training import Hook

PULL = 0.04  # slope of |a| at the default strength

Judge = Callable[[nn.Module], float]


@dataclass(frozen=True)
class Goal:
    """What a round is to come to: a share of the cost that it may not fall below, at a strength of the elastic net."""

    share: float
    strength: float


class Attending(Hook):
    """Trains the attention of a network; what falls to zero stays there."""

    def __init__(
        self,
        attended: Attended,
        plan: Plan,
        price: Price,
        alternation: Alternation,
        goal: Goal,
        *,
        floors: Floors = (),
        judge: Judge | None = None,
    ) -> None:
        """Take over the attention of a network; `floors` are how many units of a group stay open in any case."""
        self.attended, self.plan, self.price = attended, plan, price
        self.alternation, self.goal, self.floors, self.judge = alternation, goal, floors, judge
        values = attended.attention.values
        self.apart = [values]
        self.before = values.detach().clone()  # before the step
        self.metric = torch.ones_like(self.before) if alternation.before_norm else self.before.square()
        self.is_full = False  # whether no more may close
        self.scale = 1.0  # of the elastic net, by the number of steps

    @property
    def strength(self) -> float:
        """The strength of the elastic net in these steps, 0 once no more may close."""
        return 0.0 if self.is_full else self.goal.strength * self.scale

    def settings(self) -> Mapping[str, Any]:
        """Return what it comes to, and how."""
        floors = [floor for _, floor in self.floors]
        return {**vars(self.goal), "floors": floors, **self.alternation.model_dump(mode="json")}

    def begin(self, recipe: Recipe, steps: int) -> None:
        """Learn how many steps there will be, and how strong the elastic net has to be to come as far as asked."""
        how = self.alternation
        self.scale = how.travel / (PULL * how.rate * steps)
        self.rate = how.rate / recipe.learning_rate

    def penalty(self) -> Tensor | None:
        """Return the penalty of the weights; the elastic net has steps of its own."""
        return weight_penalty(self.attended.network, self.alternation.weight_penalty)

    def before_step(self) -> None:
        """Take the task's gradient relative to attention, and add that of the elastic net's squares."""
        values, how = self.attended.attention.values, self.alternation
        with torch.no_grad():
            self.before = values.clone()
            if values.grad is not None:
                smooth = 2 * self.strength * (1 - how.sparse) * values
                values.grad.mul_(self.metric.to(values.device)).add_(smooth)

    @torch.no_grad()
    def after_step(self) -> None:
        """Take the proximal step, close what comes to zero and may, and divide by what groups are divided by."""
        attention, how = self.attended.attention, self.alternation
        was_open = self.before > 0
        moved = soft_threshold(attention.values, how.rate * self.strength * how.sparse)
        stays = self._stays(was_open & (moved == 0))
        moved = torch.where(stays, LEAST, moved) * was_open
        attention.values.copy_(divided(moved, self.plan, how.divisor, how.percentile))
        attention.lived += attention.is_open

    def after_epoch(self, epoch: int, epochs: int) -> Mapping[str, float]:
        """Tell density, cost, strength and accuracy."""
        is_open = self.attended.attention.is_open
        told = {"density": float(is_open.float().mean()), "cost": float(self.price(is_open.double()))}
        told["strength"] = self.goal.strength
        return told if self.judge is None else {**told, "top1_held_out": self.judge(self.attended)}

    def state(self) -> dict[str, Tensor]:
        """Return whether no more may close; all else is the model's own, or follows from where the epoch began."""
        return {"is_full": torch.tensor(self.is_full)}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Change it to what `state` returned."""
        self.is_full = bool(state["is_full"])

    def _stays(self, closing: Tensor) -> Tensor:
        """Return which of the units that are closing stay open."""
        if self.strength == 0 or not bool(closing.any()):  # the task alone closes nothing
            return closing
        stays = kept_open(self.before, closing, self.floors)
        wanted = closing & ~stays
        may = within_goal(self.price, self.before > 0, self.before, wanted, self.goal.share)
        self.is_full = bool((wanted & ~may).any())
        return closing & ~may


class Returning(Hook):
    """Trains the weights of a network until it is as accurate as wanted."""

    def __init__(
        self,
        attended: Attended,
        strength: float,
        wanted: float | None,
        judge: Judge | None,
        clipping: Clipping | None = None,
    ) -> None:
        """Take over a network; `strength` is that of the weights' penalty, `clipping` trains what rounds."""
        self.attended, self.strength, self.wanted, self.judge = attended, strength, wanted, judge
        self.clipping = clipping
        if clipping is not None:
            self.apart, self.rate = clipping.apart, clipping.rate

    def settings(self) -> Mapping[str, Any]:
        """Return what it comes to."""
        rounding = {} if self.clipping is None else {"rounding": dict(self.clipping.settings())}
        return {"wanted": self.wanted, "weight_penalty": self.strength, **rounding}

    def penalty(self) -> Tensor | None:
        """Return the penalty of the weights, and of the clips."""
        own = weight_penalty(self.attended.network, self.strength)
        clips = None if self.clipping is None else self.clipping.penalty()
        found = [each for each in (own, clips) if each is not None]
        return torch.stack(found).sum() if found else None

    def after_epoch(self, epoch: int, epochs: int) -> Mapping[str, float]:
        """Tell the accuracy; it is over where that is back."""
        if self.judge is None:
            return {}
        found = self.judge(self.attended)
        self.is_over = self.wanted is not None and found >= self.wanted
        return {"top1_held_out": found}


def weight_penalty(network: nn.Module, strength: float) -> Tensor | None:
    """Return the sum of squares of all weights with two axes or more, at its strength; None where that is 0."""
    if strength == 0:
        return None
    squares = [weight.square().sum() for weight in network.parameters() if weight.dim() > 1]
    return strength * torch.stack(squares).sum()
