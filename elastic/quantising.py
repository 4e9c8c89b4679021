"""Quantising levels of a file: the same widths in few bits; the largest stays, and gets one of few bits below it."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn
from torch.utils.data import Dataset

from elastic.checkpoint import load, load_state, save
from elastic.errors import InvalidBits, OutputExists
from elastic.metadata import Header, find_level, read_header
from elastic.planned import load_plan
from elastic.precision import computable
from elastic.quantise import Outcome, layer_outcomes, packed_size, quantise
from elastic.recipes import Recipe
from elastic.training import Epoch, Moment, is_main, one_of_several

Measure = Callable[[nn.Module], float]


def quantise_levels(
    path: str | Path,
    output: str | Path,
    dataset: Dataset[Any],
    recipe: Recipe | None = None,
    *,
    levels: Sequence[int | str] = ("largest",),
    bits: str = "W8A8",
    network: Callable[[int], nn.Module] | None = None,
    measure: Measure | None = None,
    keep: str | Path | None = None,
    log: str | Path | None = None,
    progress: Callable[[str, Moment], None] | None = None,
    report: Callable[[str, Epoch], None] | None = None,
    training: dict[str, Any] | None = None,
    overwrite: bool = False,
    **options: Any,
) -> tuple[Outcome, ...]:
    """Write a file with levels in so many bits, and return what each of these came to, smallest first.

    A smaller level is replaced; below the largest, which stays bit for bit, there is one more. Each is calibrated on
    images, and trained by the recipe where one is given, with the largest level as its teacher. `network` gives that of
    a level, for a file that names none; `measure` the accuracy of a network, for the file and beside that of
    floats. `keep`, `log`, `progress` and `report` are as in `gate_channels`, `training` other options of `train`,
    `options` those of `quantise`. Of several processes the first alone measures and writes.

    Raises InvalidBits for a level that is of few bits already, OutputExists before any work, and what `quantise`,
    `load` and `save` raise.
    """
    header, planned = read_header(path), load_plan(path)
    numbers, last = sorted({find_level(header, each) for each in levels}), len(header.levels) - 1
    check_floats(header, path, numbers)
    if Path(output).exists() and not overwrite:
        raise OutputExists(f"{output} exists; choose another name, or allow overwriting")
    of_level = network or (lambda level: load(path, level, header=header))
    whole = of_level(last)
    teacher = computable(whole)
    made: dict[int, nn.Module] = {}
    before: dict[int, nn.Module] = {}
    told: dict[int, tuple[Epoch, ...]] = {}
    names = [each.name for each in header.levels]
    for place, number in enumerate(numbers):
        name = f"{names[number]}-{bits}"
        how = one_of_several(name, place, keep=keep, log=log, progress=progress, report=report, **(training or {}))
        made[number], told[number] = quantise(
            computable(of_level(number)), dataset, recipe, bits=bits, teacher=teacher, training=how,
            calibrated=partial(before.__setitem__, number), **options,
        )  # fmt: skip
    measured = measure if is_main() else None
    outcomes = tuple(
        Outcome(
            f"{names[number]}-{bits}",
            names[number],
            header.levels[number].bytes,
            packed_size(few),
            layer_outcomes(before.get(number, few), few),
            _top1(measured, computable(of_level(number)), before.get(number), few),
            told[number],
        )
        for number, few in made.items()
    )
    if not is_main():
        return outcomes
    if last in made:
        names.insert(last, names[last])
    for number in made:
        names[number] = f"{names[number]}-{bits}"
    metrics = {each.name: dict(each.metrics) for each in header.levels}
    metrics |= {each.name: {"top1": list(each.top1.values())[-1]} for each in outcomes if each.top1}
    old = {number: each.name for number, each in enumerate(header.levels) if each.own}
    save(
        output, whole, planned.plan, planned.levels,
        scores=planned.scores,
        names=names,
        model_name=str(header.model.get("name", "")),
        arguments=header.model.get("arguments", {}),
        input=header.input,
        recipe={**header.recipe, "bits": bits, **_trained(recipe)},
        metrics={name: found for name, found in metrics.items() if name in names},
        tuned={number: load_state(path, number) for number in range(last) if number not in {*made, *old}},
        quantised={**{number: of_level(number) for number in old}, **made},
        contract=header.contract,
        overwrite=overwrite,
    )  # fmt: skip
    return outcomes


def check_floats(header: Header, path: str | Path, numbers: Sequence[int] = ()) -> None:
    """Raise InvalidBits if one of these levels is of few bits, one of all if none are given."""
    if not numbers and (made := [level.name for level in header.levels if level.own]):
        raise InvalidBits(
            f"{path} has levels of few bits ({', '.join(made)}), and this changes weights of floats that they would no "
            "longer fit; give the file of floats that they were made from, and quantise what comes of it"
        )
    for number in numbers:
        if header.levels[number].own:
            raise InvalidBits(
                f"level {header.levels[number].name!r} of {path} is quantised already; give the file of floats that it "
                "was made from"
            )


def _top1(measure: Measure | None, floats: nn.Module, before: nn.Module | None, few: nn.Module) -> dict[str, float]:
    """Return the accuracies of a level in floats, calibrated and trained; `before` is None if it was not trained."""
    if measure is None:
        return {}
    found = {"float": measure(floats), "calibrated": measure(few if before is None else before)}
    return found if before is None else {**found, "trained": measure(few)}


def _trained(recipe: Recipe | None) -> dict[str, Any]:
    return {} if recipe is None else {"quantisation": recipe.model_dump(mode="json")}
