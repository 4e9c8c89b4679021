"""Soft pruning: units that are to leave are set to zero after each epoch and go on learning; some come back.

He et al., "Soft Filter Pruning for Accelerating Deep Convolutional Neural Networks", IJCAI 2018, arXiv:1808.06866,
section 3.2, with widths by cost in place of one share for all layers, and a ramp: the network to choose becomes smaller
from epoch to epoch, as in He et al., "Asymptotic Soft Filter Pruning", arXiv:1808.07471. At the end the network is cut
as any other, and what is cut stays in the file.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from elastic.allocation import allocate
from elastic.costs import Cost, CostModel
from elastic.data import images_loader
from elastic.errors import InvalidRecipe
from elastic.importance import score
from elastic.importance.batches import Batches
from elastic.masking import silenced
from elastic.plan import BoolArray, LevelArray, Plan
from elastic.pruning import Pruned, prune
from elastic.ranking import Ranking
from elastic.recipes import Recipe
from elastic.recovery import reestimate_norms
from elastic.targets import Limit, Target, parse_target
from elastic.tensors import take_dtypes
from elastic.tracing import Example, trace
from elastic.training import Epoch, Hook, train

ZEROED, CAME_BACK = "zeroed", "came_back"  # of an epoch: units at zero, and units that no longer are
CALIBRATION, BATCH = 512, 250  # images for scores, norms and the repair
OF_TRACE = ("freeze", "engine")


def soft_prune(
    model: nn.Module,
    example: Example,
    dataset: Dataset[Any],
    recipe: Recipe | None = None,
    *,
    target: str | Target | Sequence[str | Target],
    ramp: float = 0.5,
    teacher: nn.Module | None = None,
    calibration: int = CALIBRATION,
    training: Mapping[str, Any] | None = None,
    **options: Any,
) -> tuple[Pruned, tuple[Epoch, ...]]:
    """Train a copy of the model while it is pruned softly, cut it, and return it with what was told of each epoch.

    After every epoch but the last the units that are to leave are set to zero; each epoch tells how many there are
    (`zeroed`) and how many of those before are not among them now (`came_back`). The cost to reach falls in equal
    steps from the whole network's to the smallest target in the first `ramp` of the epochs. `training` are options of
    `train` (`keep`, `log`, `progress`, `report`, `trackers`), all others those of `prune`, which cuts and repairs.
    So many images for `calibration`, not augmented, are what scores and the repair look at.

    Raises InvalidRecipe for a ramp that is no share, or a patience (all epochs are needed), and what `train` and
    `prune` raise.
    """
    recipe = recipe or Recipe()
    if not 0 <= ramp <= 1:
        raise InvalidRecipe(f"ramp={ramp:g} is no share of the epochs; give 0 to 1")
    if recipe.patience is not None:
        raise InvalidRecipe("patience ends a training early, and soft pruning needs all of its epochs; leave it out")
    working = copy.deepcopy(model).float()
    of_trace = {name: options[name] for name in OF_TRACE if name in options}
    plan = trace(working, example, **of_trace)
    wanted = [target] if isinstance(target, str | Target) else list(target)
    targets = [parse_target(each) if isinstance(each, str) else each for each in wanted]
    seen = list(images_loader(dataset, BATCH, limit=calibration, seed=recipe.seed))
    ranking = Ranking(**{name: options[name] for name in Ranking.__dataclass_fields__ if name in options}).settled(
        targets, has_data=True
    )
    bounds: dict[str, Any] = {name: options[name] for name in ("keep_at_least", "round_to") if name in options}
    choice = Choice(working, plan, ranking, targets, bounds, seen, options.get("seed", 0))
    choice.levels(1)  # raises before the training what it would raise after it
    softening = Softening(choice, ramp)
    epochs = train(working, dataset, recipe, teacher=teacher, hook=softening, **(training or {}))
    reestimate_norms(working, [images for images, _ in seen])  # running averages still know the zeros
    pruned = prune(take_dtypes(working, model.state_dict()), example, target=targets, data=seen, **options)
    soft = {"ramp": ramp, "training": recipe.model_dump(mode="json"), CAME_BACK: came_back(epochs)}
    return replace(pruned, recipe={**pruned.recipe, "soft": soft}), epochs


def came_back(epochs: Sequence[Epoch]) -> int:
    """Return how often a unit came back in these epochs."""
    return int(sum(epoch.told[CAME_BACK] for epoch in epochs))


@dataclass(frozen=True, eq=False)
class Choice:
    """Which units of a network leave first, as it is now."""

    network: nn.Module
    plan: Plan
    ranking: Ranking
    targets: Sequence[Target]
    bounds: Mapping[str, Any]
    data: Batches
    seed: int

    def levels(self, share: float) -> LevelArray:
        """Return levels [units] of a network on the way to the smallest target: 0 is all, 1 is that target."""
        how: Any = self.ranking
        scores = score(
            self.network, self.plan, how.criterion, seed=self.seed, data=self.data,
            reduction=how.reduction, hessian=how.hessian,
        )  # fmt: skip
        dense = CostModel(self.plan).dense
        towards = [_towards(target, share, dense) for target in self.targets]
        found = allocate(self.plan, scores, target=towards, **how.allocation, **self.bounds)
        return found


@dataclass(eq=False)
class Softening(Hook):
    """Sets units to zero after an epoch, and remembers which."""

    choice: Choice
    ramp: float

    def __post_init__(self) -> None:
        self.zeroed: BoolArray = np.zeros(self.choice.plan.units, np.bool_)

    def settings(self) -> Mapping[str, Any]:
        """Return what it comes to, and how."""
        choice = self.choice
        return {"ramp": self.ramp, "targets": list(map(str, choice.targets)), **choice.ranking.recipe, **choice.bounds}

    def after_epoch(self, epoch: int, epochs: int) -> Mapping[str, float]:
        """Choose, and set to zero unless it is the last epoch."""
        share = 1.0 if epoch >= self.ramp * epochs else epoch / (self.ramp * epochs)
        levels = self.choice.levels(share)
        chosen = levels > 0
        told = {ZEROED: int(chosen.sum()), CAME_BACK: int((self.zeroed & ~chosen).sum())}
        self.zeroed = chosen
        if epoch < epochs:
            network = self.choice.network
            network.load_state_dict(silenced(network.state_dict(), self.choice.plan, levels))
        return told

    def state(self) -> dict[str, Tensor]:
        """Return which units are at zero."""
        return {ZEROED: torch.from_numpy(self.zeroed)}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Change it to these."""
        self.zeroed = state[ZEROED].numpy()


def _towards(target: Target, share: float, dense: Cost) -> Target:
    """Return a target on the way from the whole network (0) to this one (1)."""
    if share == 1:
        return target
    shares = {limit.quantity: limit.of(dense) / dense[limit.quantity] for limit in target.limits}
    limits = tuple(Limit(name, share=1 - (1 - min(1.0, of)) * share) for name, of in shares.items())
    return Target(limits, ",".join(map(str, limits)))
