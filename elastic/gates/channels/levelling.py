"""Levelling: from what stays at each aim, the largest network first, to the levels of one file."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
from torch import nn

from elastic.errors import InvalidRecipe
from elastic.gates.channels.aims import Aim
from elastic.plan import BoolArray, LevelArray, Plan
from elastic.pruning import Pruned
from elastic.targets import Target
from elastic.tensors import take_dtypes

FloatArray = npt.NDArray[np.float64]


class Closing(Protocol):
    """What one aim came to."""

    @property
    def aim(self) -> Aim:
        """The aim."""

    @property
    def stays(self) -> BoolArray:
        """Which units stay, [units]."""

    @property
    def network(self) -> nn.Module:
        """The network of these units."""


S = TypeVar("S", bound=Closing)


def closing_stages(stages: Sequence[S]) -> tuple[S, ...]:
    """Return the stages that closed a unit, each of which is a level. Raises InvalidRecipe if there are none."""
    before = (np.ones_like(stages[0].stays), *(stage.stays for stage in stages))
    found = tuple(stage for stage, left in zip(stages, before, strict=False) if not np.array_equal(stage.stays, left))
    if not found:
        raise InvalidRecipe(f"{stages[-1].aim.name} closed no unit; give a higher strength, or more epochs")
    return found


def levelled(
    model: nn.Module,
    plan: Plan,
    stages: Sequence[Closing],
    open_by: Sequence[FloatArray],
    targets: Sequence[Target],
    recipe: dict[str, Any],
    *,
    bits: Sequence[str] = (),
) -> Pruned:
    """Return the model with a level for each stage; they go from the largest network to the smallest.

    `open_by` says, 0 to 1, how far each unit was open in each stage, [units]; `targets` are those of the levels,
    smallest first; `bits` those of the networks, one for each stage, "" for floats.
    """
    levels, last, like = levels_of(stages), len(stages) - 1, model.state_dict()
    few = tuple(bits) or ("",) * len(stages)
    tuned: Mapping[int, nn.Module] = {
        last - n: stage.network if few[n] else take_dtypes(stage.network, like) for n, stage in enumerate(stages)
    }
    return Pruned(model, plan, scores_of(open_by, levels), levels, tuple(targets), recipe, tuned, few[::-1])


def levels_of(stages: Sequence[Closing]) -> LevelArray:
    """Return the level at which each unit first exists, [units]; the stages go from the largest to the smallest."""
    stays = np.stack([stage.stays for stage in stages])  # [stages, units]
    levels: LevelArray = (len(stages) - stays.sum(0)).astype(np.uint8)
    return levels


def scores_of(open_by: Sequence[FloatArray], levels: LevelArray) -> FloatArray:
    """Return scores by which units leave in the order in which they closed, [units], none below 0.

    A unit has how far it was open in the stage that closed it, and 1 more for each stage that it lived through.
    """
    closing = np.maximum(0, len(open_by) - levels.astype(np.int64))  # the stage that closed it; the last for the others
    number = np.minimum(closing, len(open_by) - 1)
    found: FloatArray = np.stack(open_by)[number, np.arange(len(levels))] + closing
    return found
