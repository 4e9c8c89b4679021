"""Growing: the smallest level is trained, then each larger one around it, of which only what is new moves.

A level starts as it is in the file, with the one below it as it has become inside. Weights that it shares with
smaller levels stay bit for bit; norms, biases and the last layer are its own. After the rounds of pruning down and
growing back that are known as prune-and-grow, with all blocks of a shell kept and trained, new rows by old columns too.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from elastic.cutting import cut
from elastic.errors import ProofFailed
from elastic.nesting.family import Family, shared_names
from elastic.nesting.freezing import Frozen, StayingPut, differing, frozen_core, put_inside
from elastic.training import Epoch, Recipe, train

States = dict[int, dict[str, Tensor]]
Options = Callable[[int], dict[str, Any]]  # of `train`, for a level


def grow(family: Family, dataset: Any, recipe: Recipe, options: Options) -> tuple[States, dict[int, tuple[Epoch, ...]]]:
    """Return the weights of every level, each trained around the one below it, and what was told of each.

    The largest level as it is in the file is the teacher.

    Raises ProofFailed if a smaller level's weights would have changed, and what `train` raises.
    """
    plan, levels = family.planned.plan, family.planned.levels
    positions, names = plan.position_levels(levels), shared_names(plan, with_head=False)
    teacher = None if recipe.distil == 0 else family.working(family.last)
    states: States = {}
    told = {}
    for level in range(family.last + 1):
        network = family.working(level)
        if level:
            put_inside(network, states[level - 1], names, positions, level)
        frozen = frozen_core(network, names, positions, level) if level else []
        how = options(level)
        told[level] = train(
            network, dataset, replace_seed(recipe, level), teacher=teacher,
            parameters=_moving(network, frozen), hook=StayingPut(frozen), **how,
        )  # fmt: skip
        states[level] = family.as_stored(network, level)
    for level in range(family.last):
        changed = differing(states[level], cut(states[family.last], plan, levels, level), names)
        if changed:
            raise ProofFailed(f"{changed[0]} of level {level} changed while larger levels were trained")
    return states, told


def replace_seed(recipe: Recipe, level: int) -> Recipe:
    """Return the recipe with another seed for each level."""
    return recipe.model_copy(update={"seed": (recipe.seed + level) % 2**31})


def _moving(network: nn.Module, frozen: list[Frozen]) -> list[nn.Parameter]:
    still = {id(each.parameter) for each in frozen if bool(each.stays.all())}
    return [parameter for parameter in network.parameters() if id(parameter) not in still]
