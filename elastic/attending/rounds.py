"""Rounds: an epoch that learns attention, then epochs that only recover weights, left as soon as accuracy is back.

|a| closes units, and shrinks the others too. Where weights stood still meanwhile they make good for that, so that all
that a round takes from the network is what it closed: first select, then fit (Meinshausen, "Relaxed Lasso", 2007).
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sized
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import nn
from torch.utils.data import Dataset, Subset

from elastic.allocation import Bounds
from elastic.alternating import Alternation
from elastic.attending.attended import Attended
from elastic.attending.learning import Attending, Goal, Judge, Returning
from elastic.attending.leaving import Leaving
from elastic.gates.channels.aims import Aim, Pricing
from elastic.plan import BoolArray, Plan
from elastic.quantise.quantising import Clipping, Rounding
from elastic.recipes import Recipe
from elastic.training import Epoch, train

# Of the recipe, while attention is learned: plain steps, each followed by a proximal one of the same length.
PLAIN = {"epochs": 1, "optimiser": "sgd", "momentum": 0.0, "schedule": "constant", "warm_up": 0.0, "average": None}


@dataclass(frozen=True, eq=False)
class Round:
    """What one round came to; accuracies of held-out images in percent, None where there are none."""

    number: int  # from 1
    strength: float  # of the elastic net
    goal: float  # share of the cost
    cost: float  # share of the cost of what is open
    is_open: BoolArray  # [units]
    top1_attended: float | None
    top1: float | None  # recovered
    attention: tuple[Epoch, ...]
    recovery: tuple[Epoch, ...]


@dataclass(frozen=True, eq=False)
class Trainings:
    """All trainings of a run, each with a number of its own: in its files, and added to the seed."""

    model: nn.Module  # the teacher
    options: Callable[[str, int], Mapping[str, Any]]  # of `train`, by the name and the number of what is trained
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def train(
        self, network: nn.Module, images: Dataset[Any], recipe: Recipe, name: str, **more: Any
    ) -> tuple[Epoch, ...]:
        """Change the weights of a network by a recipe; options as of `elastic.training.train`."""
        number = next(self.numbers)
        own = recipe.model_copy(update={"seed": (recipe.seed + number) % 2**31})
        teacher = None if recipe.distil == 0 else self.model
        return train(network.requires_grad_(True), images, own, teacher=teacher, **more, **self.options(name, number))


@dataclass(frozen=True, eq=False)
class Rounds:
    """What all rounds have in common."""

    plan: Plan
    dataset: Dataset[Any]
    recipe: Recipe
    alternation: Alternation
    price: Pricing
    bounds: Mapping[str, Any]
    judge: Judge | None
    trainings: Trainings
    rounding: Rounding | None = None  # that of the attended network

    def run(self, attended: Attended, aim: Aim, leaving: Leaving | None) -> tuple[Round, ...]:
        """Change the network in rounds until its open units are at the aim, or there are no more rounds.

        `leaving` says when accuracy is back, and goes on with what is reached; without it all epochs are needed.
        """
        found: list[Round] = []
        first, missed = self.cost(attended), 0
        for number in range(1, self.alternation.rounds + 1):
            goal = self._goal(aim, first, number)
            strength = self.alternation.elastic_net * self.alternation.push**missed
            attending = self._attending(attended, Goal(goal, strength))
            found.append(self._round(attended, attending, aim, number, leaving))
            if attending.is_full and goal == aim.share:
                break
            missed += not attending.is_full and goal > 0
        return tuple(found)

    def cost(self, attended: Attended) -> float:
        """Return the share of the cost of what is open."""
        return float(self.price(attended.attention.is_open.double()))

    def _goal(self, aim: Aim, first: float, number: int) -> float:
        if aim.share is None:
            return 0.0
        falling = self.alternation.ramp * self.alternation.rounds
        return aim.share if number >= falling else first + (aim.share - first) * number / falling

    def _attending(self, attended: Attended, goal: Goal) -> Attending:
        floors = [(group, Bounds(**self.bounds).kept(group, 0)) for group in self.plan.groups]
        return Attending(attended, self.plan, self.price, self.alternation, goal, floors=floors, judge=self.judge)

    def _round(self, attended: Attended, attending: Attending, aim: Aim, number: int, leaving: Leaving | None) -> Round:
        how, name = self.alternation, f"{aim.name}, round {number}"
        own = self.recipe.model_copy(update=PLAIN)
        chosen = self._with_weights(attended) if how.train_weights else [attended.attention.values]
        before = attended.attention.values.detach().clone()
        learned = self.trainings.train(
            attended, self._images(number), own, f"{name}, attention", hook=attending, parameters=chosen
        )
        if not (how.train_weights or how.before_norm):
            attended.balance(before)
        top1_attended = top1 = None if self.judge is None else self.judge(attended)
        recovery: tuple[Epoch, ...] = ()
        if how.recovery and not (leaving is not None and top1 is not None and leaving.is_back(top1)):
            recovery = self._recover(attended, f"{name}, recovery", leaving)
            top1 = recovery[-1].told.get("top1_held_out")
        if leaving is not None and top1 is not None:
            leaving.go_on(top1)
        is_open = attended.attention.is_open.cpu().numpy()
        goal = attending.goal
        return Round(
            number, goal.strength, goal.share, self.cost(attended), is_open, top1_attended, top1, learned, recovery
        )

    def _recover(self, attended: Attended, name: str, leaving: Leaving | None) -> tuple[Epoch, ...]:
        """Change the weights; attention stays as it is."""
        wanted = None if leaving is None else leaving.wanted
        hook = Returning(attended, self.alternation.weight_penalty, wanted, self.judge, self._clipping(attended))
        own = self.recipe.model_copy(update={"epochs": self.alternation.recovery})
        weights = list(attended.network.parameters())
        return self.trainings.train(attended, self.dataset, own, name, hook=hook, parameters=weights)

    def _images(self, number: int) -> Dataset[Any]:
        """Return what attention is learned on in a round: all images, or a share of them, drawn anew."""
        share, count = self.alternation.images, len(cast(Sized, self.dataset))
        if share == 1:
            return self.dataset
        generator = torch.Generator().manual_seed((self.recipe.seed + number) % 2**31)
        return Subset(self.dataset, torch.randperm(count, generator=generator)[: max(2, round(share * count))].tolist())

    def _clipping(self, attended: Attended) -> Clipping | None:
        return None if self.rounding is None else self.rounding.hook(attended.network)

    def _with_weights(self, attended: Attended) -> list[nn.Parameter]:
        """Return attention and weights; clips and steps stand still while attention moves."""
        clipping = self._clipping(attended)
        still = set() if clipping is None else {id(own) for own in clipping.apart}
        return [parameter for parameter in attended.parameters() if id(parameter) not in still]
