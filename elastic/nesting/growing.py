"""Growing: the smallest level is trained, then each larger one around it, of which only what is new moves.

A core that was trained for itself alone is a poor part of larger networks, so for most of the time all levels are
trained at once (`joint.py`); what is left of the time goes to each by itself, with a lower learning rate. A level
starts as it is in the file, with the one below it as it has become inside. Weights that it shares with smaller levels
stay bit for bit; norms, biases and the last layer are its own. After the rounds of pruning down and growing back that
are known as prune-and-grow, with all blocks of a shell kept and trained, new rows by old columns too.
"""

from collections.abc import Callable
from typing import Any

from torch import nn

from elastic.cutting import cut
from elastic.errors import InvalidRecipe, ProofFailed
from elastic.nesting.family import Family, States, Told, shared_names
from elastic.nesting.freezing import Frozen, StayingPut, differing, frozen_core, put_inside
from elastic.nesting.joint import train_jointly
from elastic.training import Recipe, train

TOGETHER = 0.75  # of the epochs
AFTER = 0.2  # learning rate of a level by itself, once all were trained together, in shares of the recipe's

Options = Callable[[int | None], dict[str, Any]]  # of `train`, for a level, or for all of them


def grow(family: Family, dataset: Any, recipe: Recipe, options: Options, *, together: float) -> tuple[States, Told]:
    """Return the weights of every level, each trained around the one below it, and what was told of each.

    In the share `together` of the epochs all levels are trained at once; each level by itself has the others. The
    largest level as it is in the file is the teacher.

    Raises InvalidRecipe if `together` is no share below 1, ProofFailed if a smaller level's weights would have changed,
    and what `train` raises.
    """
    if not 0 <= together < 1:
        raise InvalidRecipe(f"together={together:g} is no share of the epochs that leaves some; give 0 to below 1")
    plan, levels = family.planned.plan, family.planned.levels
    positions, names = plan.position_levels(levels), shared_names(plan, with_head=False)
    teacher = None if recipe.distil == 0 else family.working(family.last)
    states, told, recipe = _first_together(family, dataset, recipe, options, int(together * recipe.epochs))
    for level in range(family.last + 1):
        network = family.working(level, states.get(level))
        if level:
            put_inside(network, states[level - 1], names, positions, level)
        frozen = frozen_core(network, names, positions, level) if level else []
        told[level] = train(
            network, dataset, replace_seed(recipe, level + 1), teacher=teacher,
            parameters=_moving(network, frozen), hook=StayingPut(frozen), **options(level),
        )  # fmt: skip
        states[level] = family.as_stored(network, level)
    for level in range(family.last):
        changed = differing(states[level], cut(states[family.last], plan, levels, level), names)
        if changed:
            raise ProofFailed(f"{changed[0]} of level {level} changed while larger levels were trained")
    return states, told


def _first_together(
    family: Family, dataset: Any, recipe: Recipe, options: Options, epochs: int
) -> tuple[States, Told, Recipe]:
    """Return what so many epochs of all levels at once make of them, what was told, and the recipe of each after it."""
    if epochs == 0:
        return {}, {}, recipe
    first = recipe.model_copy(update={"epochs": epochs})
    states, found = train_jointly(family, dataset, first, options(None), between=1, norms="private")
    after = {"epochs": recipe.epochs - epochs, "learning_rate": AFTER * recipe.learning_rate}
    return states, {None: found}, recipe.model_copy(update=after)


def replace_seed(recipe: Recipe, number: int) -> Recipe:
    """Return the recipe with another seed for each number."""
    return recipe.model_copy(update={"seed": (recipe.seed + number) % 2**31})


def _moving(network: nn.Module, frozen: list[Frozen]) -> list[nn.Parameter]:
    still = {id(each.parameter) for each in frozen if bool(each.stays.all())}
    return [parameter for parameter in network.parameters() if id(parameter) not in still]
