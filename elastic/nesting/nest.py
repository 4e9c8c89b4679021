"""Nest: from a file of pruned levels to one whose levels were trained to be each other's parts."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from torch import nn
from torch.utils.data import Dataset

from elastic.checkpoint import save_again
from elastic.errors import InvalidRecipe, OutputExists, UnknownName
from elastic.nesting.family import Measure, family_of
from elastic.nesting.growing import TOGETHER, grow
from elastic.nesting.joint import NORMS, Norms, train_jointly
from elastic.recipes import Recipe
from elastic.training import Epoch, Moment, is_main, one_of_several, wait_for_all

Way = Literal["grow", "joint"]
WAYS: tuple[str, ...] = get_args(Way)
CONTRACTS: Any = {"grow": "nested", "joint": "joint"}


def nest(
    path: str | Path,
    output: str | Path,
    dataset: Dataset[Any],
    recipe: Recipe | None = None,
    *,
    way: Way = "grow",
    together: float = TOGETHER,
    between: int = 1,
    norms: Norms = "private",
    network: Callable[[int], nn.Module] | None = None,
    measure: Measure | None = None,
    keep: str | Path | None = None,
    log: str | Path | None = None,
    progress: Callable[[str, Moment], None] | None = None,
    report: Callable[[str, Epoch], None] | None = None,
    overwrite: bool = False,
    **options: Any,
) -> Mapping[str, tuple[Epoch, ...]]:
    """Write a file whose levels, those of a file of pruned ones, are trained on shared weights; return what was told.

    `grow`: in the share `together` of the recipe's epochs all levels are trained at once, in the others each by itself,
    from the smallest on, with the smaller ones inside of it frozen bit for bit and a fifth of the learning rate.
    `joint`: all at once, the largest, the smallest and `between` others in each step, each with norms of its own
    (`private`), or with the largest one's weights and biases of them, and their statistics `re-estimated` in the end.
    The largest level of the file is the teacher and the start of what is trained; it is trained itself, so it is not in
    the output: keep the file.

    `network` gives that of a level, for a file that names none; `measure` what is told of a level's network in the
    output. `keep` and `log` are files as those of `train`, one for each level where they are grown, with the level's
    number in the name. `progress` and `report` are told the level's name too; `options` are others of `train`.
    Of several processes the first alone writes.

    Raises UnknownName for another way, InvalidRecipe if there is one level only, OutputExists before any work, and
    what `load_plan`, `train` and `save` raise.
    """
    if way not in WAYS:
        raise UnknownName(f"unknown way {way!r} to nest; known: {', '.join(WAYS)}")
    if norms not in NORMS:
        raise UnknownName(f"unknown norms {norms!r}; known: {', '.join(NORMS)}")
    if Path(output).exists() and not overwrite:
        raise OutputExists(f"{output} exists; choose another name, or allow overwriting")
    family, recipe = family_of(path, network), recipe or Recipe()
    names = [level.name for level in family.header.levels]
    if family.last == 0:
        raise InvalidRecipe(f"{path} has one level, {names[0]}; prune it to smaller ones first (`elastic prune`)")

    def called(level: int | None) -> str:
        return "all levels" if level is None else names[level]

    def of_level(level: int | None) -> dict[str, Any]:
        how = {"keep": keep, "log": log, "progress": progress, "report": report}
        return one_of_several(called(level), level, **how, **options)  # type: ignore[arg-type]

    if way == "grow":
        states, found = grow(family, dataset, recipe, of_level, together=together)
    else:
        states, epochs = train_jointly(family, dataset, recipe, of_level(None), between=between, norms=norms)
        found = {None: epochs}
    told = {called(level): each for level, each in found.items()}
    wait_for_all()  # none reads the input any more, which the caller may delete now
    if not is_main():
        return told
    networks = {level: _with(family.network(level), state) for level, state in states.items()}
    own = {"between": between, "norms": norms} if way == "joint" else {"together": together}
    made = {"way": way, **own, "recipe": recipe.model_dump(mode="json")}
    save_again(
        output, family.header, family.planned, networks[family.last],
        {level: state for level, state in states.items() if level < family.last},
        recipe={"nested": made},
        metrics={} if measure is None else {names[level]: measure(each) for level, each in networks.items()},
        contract=CONTRACTS[way],
        overwrite=overwrite,
    )  # fmt: skip
    return told


def _with(network: nn.Module, state: Mapping[str, Any]) -> nn.Module:
    network.load_state_dict(state)
    return network.eval()
