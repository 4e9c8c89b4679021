"""Finishing: from a network with zeros among its weights to one that was tuned around them, and cut.

Units without a purpose are silenced first, and the tuning keeps every zero exactly zero, so that the cut of those
units is exact. The same for a network with gates and for its control.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.data import Dataset

from elastic.cutting import cut
from elastic.fitting import fitted
from elastic.gates.weights.finalising import Masks
from elastic.gates.weights.silencing import dead_units, with_silence
from elastic.masking import masked
from elastic.nesting.freezing import Frozen, StayingPut
from elastic.plan import LevelArray, Plan
from elastic.recipes import Recipe
from elastic.training import Epoch, train

Measure = Callable[[nn.Module, str], float | None]  # of a network at a stage


@dataclass(frozen=True, eq=False)
class Finished:
    """A network with zeros as it was tuned, whole and cut; level 1 has the units that the cut is without."""

    network: nn.Module
    cut: nn.Module
    levels: LevelArray
    epochs: tuple[Epoch, ...]


def finish(
    network: nn.Module,
    masks: Masks,
    plan: Plan,
    dataset: Dataset[Any],
    recipe: Recipe | None,
    *,
    teacher: nn.Module | None = None,
    measure: Measure | None = None,
    training: Mapping[str, Any] | None = None,
) -> Finished:
    """Change the network: silence it, tune it by a recipe, none for no tuning; return it, and cut.

    What is false in the masks is zero, and stays so bit for bit. `training` are options of `train`; `measure` is told
    of the network at the stages "fine-tuned" and "cut".
    """
    state = network.state_dict()
    levels = dead_units(network, plan, state)
    network.load_state_dict(masked(state, plan, levels))
    epochs: tuple[Epoch, ...] = ()
    if recipe is not None:
        hook = zeros_kept(network, with_silence(masks, plan, levels, state))
        epochs = train(network, dataset, recipe, teacher=teacher, hook=hook, **(training or {}))
    network.eval()
    if measure is not None:
        measure(network, "fine-tuned")
    small = fitted(network, cut(network.state_dict(), plan, levels), plan.sizes(levels)).eval()
    if measure is not None:
        measure(small, "cut")
    return Finished(network, small, levels, epochs)


def zeros_kept(network: nn.Module, masks: Masks) -> StayingPut:
    """Return what keeps a network's parameters at exactly zero where masks are false, whatever the optimiser does."""
    frozen = []
    for name, parameter in network.named_parameters():
        if name in masks and not masks[name].all():
            frozen.append(Frozen(parameter, ~masks[name], torch.zeros_like(parameter)))
    return StayingPut(frozen)
