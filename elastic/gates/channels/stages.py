"""Stages: each aim in turn, from the largest network to the smallest; what one closes stays closed in the next."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from elastic.allocation import Bounds
from elastic.costs import CostModel
from elastic.gates.channels.aims import Aim, Pricing
from elastic.gates.channels.beginning import begin_by
from elastic.gates.channels.finishing import Accuracies, Measure, finished
from elastic.gates.channels.gated import Gated
from elastic.gates.channels.learning import Learning
from elastic.gates.channels.settling import settle, settled, settled_by_price
from elastic.gating import Gating
from elastic.plan import BoolArray, Plan
from elastic.recipes import Recipe
from elastic.targets import QUANTITIES
from elastic.training import Epoch, train

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Stage:
    """What one aim came to. Costs are shares of the whole network's, accuracies in percent."""

    aim: Aim
    logits: FloatArray  # [units], as learned
    soft: FloatArray  # [units], how far each gate was open
    stays: BoolArray  # [units], once settled
    changed: int  # units that were settled otherwise than their logits say
    costs: Mapping[str, float]  # soft, hard (as learned), settled
    epochs: tuple[Epoch, ...]
    tuning: tuple[Epoch, ...]
    network: nn.Module  # cut, recovered, and tuned
    top1: Mapping[str, float]  # soft, hard, cut, recovered, tuned; empty if nothing was measured


@dataclass(frozen=True, eq=False)
class Stages:
    """What all stages have in common."""

    model: nn.Module  # the teacher, and what is cut
    plan: Plan
    gate_images: Dataset[Any]
    dataset: Dataset[Any]
    recipe: Recipe
    gating: Gating
    fine_tune: Recipe | None
    price: Pricing
    bounds: Mapping[str, Any]
    calibration: Tensor | None  # images to recover on, or nothing is
    judge: Measure | None
    measure: Measure | None
    options: Callable[[str], Mapping[str, Any]]  # of `train`, by the name of what is trained

    def run(self, gated: Gated, aim: Aim, number: int, places: FloatArray | None) -> Stage:
        """Change the gated network to what the aim makes of it, with settled gates; cut it, and tune what is left.

        Gates begin as they are, or by the `places` of units in the order of leaving.
        """
        plan, gates, found = self.plan, gated.gates, Accuracies(self.measure)
        if places is not None:
            every = np.ones(plan.units, np.bool_)
            settle_by = None if aim.share is None else partial(self._settled, aim, every)
            begin_by(places, gates, self.gating.begin, settle_by)
        floors = [(group, Bounds(**self.bounds).kept(group, 0)) for group in plan.groups]
        learning = Learning(gated, self.price, aim, self.gating, floors=floors, judge=self.judge)
        chosen = None if self.gating.train_weights else [gates.logits]
        epochs = self._train(
            gated, self.gate_images, self.recipe, number, f"{aim.name}, gates", hook=learning, parameters=chosen
        )
        gated.is_soft = True
        found.add("soft", gated)
        gated.is_soft = False
        logits, soft = _array(gates.logits), _array(gates.priced())
        was_open = logits > 0
        stays = self._settled(aim, was_open, logits)
        settle(gates, stays)
        found.add("hard", gated)
        tune = None
        if self.fine_tune is not None:
            own: dict[str, Any] = {
                "images": self.dataset,
                "recipe": self.fine_tune,
                "number": number,
                "name": f"{aim.name}, cut",
            }
            tune = partial(self._train, **own)
        network, tuning = finished(
            self.model, gated.network.state_dict(), plan, stays, found, calibration=self.calibration, tune=tune
        )
        costs = {"soft": self._cost(soft), "hard": self._cost(was_open), "settled": self._cost(stays)}
        changed = int((stays != was_open).sum())
        return Stage(aim, logits, soft, stays, changed, costs, epochs, tuning, network, found.top1)

    def _train(
        self, network: nn.Module, images: Dataset[Any], recipe: Recipe, number: int, name: str, **more: Any
    ) -> tuple[Epoch, ...]:
        own = recipe.model_copy(update={"seed": (recipe.seed + number) % 2**31})
        teacher = None if recipe.distil == 0 else self.model
        return train(network.requires_grad_(True), images, own, teacher=teacher, **more, **self.options(name))

    def _settled(self, aim: Aim, was_open: BoolArray, scores: FloatArray) -> BoolArray:
        quantity = self.price.quantity
        if quantity not in QUANTITIES:
            share = self._cost(was_open) if aim.share is None else aim.share
            return settled_by_price(self.plan, scores, self.price, share, self.bounds)
        amount = CostModel(self.plan).cost(was_open)[quantity]
        target = f"{quantity}={amount}" if aim.share is None else aim.name
        return settled(self.plan, scores, target, self.bounds)

    def _cost(self, opened: FloatArray | BoolArray) -> float:
        return float(self.price(torch.from_numpy(opened.astype(np.float64))))


def _array(tensor: Tensor) -> FloatArray:
    found: FloatArray = tensor.detach().double().cpu().numpy()
    return found
