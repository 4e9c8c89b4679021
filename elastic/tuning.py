"""Tuning: train a level of a file, with its largest level as the teacher; all other levels stay as they are."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn
from torch.utils.data import Dataset

from elastic.checkpoint import load, load_state, save_again
from elastic.errors import InvalidRecipe, OutputExists
from elastic.metadata import find_level, read_header
from elastic.planned import load_plan
from elastic.precision import computable
from elastic.recipes import Recipe
from elastic.tensors import take_dtypes
from elastic.told import check_plain_levels
from elastic.training import Epoch, is_main, train

WAY = "fine-tuned"  # of a level, in the file's recipe


def fine_tune(
    path: str | Path,
    output: str | Path,
    dataset: Dataset[Any],
    recipe: Recipe | None = None,
    *,
    level: int | str = 0,
    network: Callable[[int], nn.Module] | None = None,
    overwrite: bool = False,
    **options: Any,
) -> tuple[Epoch, ...]:
    """Write a file with a smaller level trained on images, and return what was told of each epoch.

    What training changes is private to the level: every other level, and the largest, stays bit for bit. The largest
    level is the teacher; `distil=0` in the recipe leaves it out. `network` gives that of a level, for a file that
    names none. `options` are those of `train`. Of several processes the first alone writes.

    Raises InvalidRecipe for the largest level, InvalidBits or GatedLevel for a file with levels of another make,
    OutputExists before any work, and what `load`, `train` and `save` raise.
    """
    header = read_header(path)
    check_plain_levels(header, path)
    number, last = find_level(header, level), len(header.levels) - 1
    if number == last:
        raise InvalidRecipe(
            f"{header.levels[number].name!r} is the largest level of {path}, which stays as it is; name a smaller one, "
            "or rebuild it, train the weights (`elastic train --weights`) and prune them again"
        )
    if Path(output).exists() and not overwrite:
        raise OutputExists(f"{output} exists; choose another name, or allow overwriting")
    student, whole = (network(each) if network else load(path, each) for each in (number, last))
    recipe, working = recipe or Recipe(), computable(student)
    teacher = None if recipe.distil == 0 else computable(whole)
    epochs = train(working, dataset, recipe, teacher=teacher, **options)
    if not is_main():
        return epochs
    tuned = {each: load_state(path, each) for each in range(last)}
    tuned[number] = take_dtypes(working, student.state_dict()).state_dict()
    name = header.levels[number].name
    save_again(
        output, header, load_plan(path), whole, tuned,
        recipe={WAY: {**header.recipe.get(WAY, {}), name: recipe.model_dump(mode="json")}},
        metrics={each.name: each.metrics for each in header.levels if each.name != name},
        contract=header.contract,
        overwrite=overwrite,
    )  # fmt: skip
    return epochs
