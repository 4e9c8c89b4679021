"""Optimising: the optimiser and the learning rates of a recipe; all of them torch's own."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    LinearLR,
    LRScheduler,
    MultiStepLR,
    OneCycleLR,
    SequentialLR,
)

from elastic.recipes import Recipe

START = 0.01  # of the learning rate, at which a warm-up begins


def optimiser_of(
    recipe: Recipe, parameters: Iterable[nn.Parameter], apart: Iterable[nn.Parameter] = (), rate: float = 1.0
) -> torch.optim.Optimizer:
    """Return an optimiser; what has one axis or none (norms, biases) is not decayed.

    Those of the parameters that are `apart` are not decayed either, and have `rate` times the learning rate.
    """
    own = {id(parameter) for parameter in apart}
    given = list(parameters)
    found, others = [p for p in given if id(p) not in own], [p for p in given if id(p) in own]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in found if p.dim() > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in found if p.dim() <= 1], "weight_decay": 0.0},
        {"params": others, "weight_decay": 0.0, "lr": rate * recipe.learning_rate},
    ]
    groups = [group for group in groups if group["params"]]
    if recipe.optimiser == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.learning_rate)
    return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=recipe.momentum > 0)


def schedule_of(recipe: Recipe, optimiser: torch.optim.Optimizer, steps: int, done: int = 0) -> LRScheduler:
    """Return the learning rates of so many steps, where so many are done.

    One-cycle after Smith and Topin, "Super-Convergence", 2018; cosine after Loshchilov and Hutter, "SGDR", 2017.
    """
    rising = round(recipe.warm_up * steps)
    if recipe.schedule == "one-cycle":
        rates = [float(group["lr"]) for group in optimiser.param_groups]
        share = min(max(recipe.warm_up, 1 / steps), 0.99)
        schedule: LRScheduler = OneCycleLR(optimiser, rates, total_steps=steps + 1, pct_start=share)
    else:
        schedule = _falling(recipe, optimiser, steps - rising)
        if rising:
            begin = LinearLR(optimiser, START, total_iters=rising)
            schedule = SequentialLR(optimiser, [begin, schedule], [rising])
    optimiser.step()  # of no gradients: torch warns of a schedule that goes before
    for _ in range(done):
        schedule.step()
    return schedule


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return what an optimiser remembers, by the number of the parameter and the name of the quantity."""
    states = optimiser.state_dict()["state"]
    return {
        f"{number}/{name}": value
        for number, state in states.items()
        for name, value in state.items()
        if isinstance(value, Tensor)
    }


def load_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Change an optimiser to remember what another did; learning rates stay its own."""
    states: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, _, name = key.partition("/")
        states.setdefault(int(number), {})[name] = value
    optimiser.load_state_dict({"state": states, "param_groups": optimiser.state_dict()["param_groups"]})


def norm_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Return the weights and biases of norms, and the biases of other layers: what is cheap to keep for each level."""
    return [p for p in model.parameters() if p.dim() <= 1]


def _falling(recipe: Recipe, optimiser: torch.optim.Optimizer, steps: int) -> LRScheduler:
    if recipe.schedule == "cosine":
        return CosineAnnealingLR(optimiser, max(1, steps))
    if recipe.schedule == "step":
        drops: Sequence[int] = sorted(round(share * steps) for share in recipe.drops)
        return MultiStepLR(optimiser, list(drops), gamma=0.1)
    return ConstantLR(optimiser, factor=1.0)
