"""Remaking levels of a file: the same widths of another make; the largest stays, and gets one of that make below it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from elastic.checkpoint import load, load_state, save
from elastic.errors import OutputExists
from elastic.metadata import Level, find_level, read_header
from elastic.planned import load_plan
from elastic.precision import computable
from elastic.told import check_plain_levels
from elastic.training import Epoch, Moment, is_main, one_of_several

Epochs = tuple[Epoch, ...]
# From a level's network, its teacher and options of `train` to the network of another make.
Remake = Callable[[nn.Module, nn.Module, dict[str, Any]], tuple[nn.Module, Epochs]]
Measure = Callable[[nn.Module], float]  # the accuracy of a network in percent


def remake_levels(
    path: str | Path,
    output: str | Path,
    remake: Remake,
    *,
    suffix: str,
    recipe: Mapping[str, Any],
    levels: Sequence[int | str] = ("largest",),
    network: Callable[[int], nn.Module] | None = None,
    metrics: Callable[[nn.Module, Level], Mapping[str, float]] | None = None,
    keep: str | Path | None = None,
    log: str | Path | None = None,
    progress: Callable[[str, Moment], None] | None = None,
    report: Callable[[str, Epoch], None] | None = None,
    training: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> dict[str, Epochs]:
    """Write a file with these levels remade, and return what was told of each epoch, by the names of these levels.

    Names get the suffix. A smaller level is replaced; below the largest, which stays bit for bit and is the teacher of
    all, there is one more. `recipe` goes to the file's own, `metrics` are numbers of a network, given the level that it
    was. All other options are as in `quantise_levels`. Of several processes the first alone writes.

    Raises InvalidBits or GatedLevel for a level that is of another make already, OutputExists before any work, and what
    `remake`, `load` and `save` raise.
    """
    header, planned = read_header(path), load_plan(path)
    numbers, last = sorted({find_level(header, each) for each in levels}), len(header.levels) - 1
    check_plain_levels(header, path, numbers)
    if Path(output).exists() and not overwrite:
        raise OutputExists(f"{output} exists; choose another name, or allow overwriting")
    of_level = network or (lambda level: load(path, level, header=header))
    whole = of_level(last)
    teacher = computable(whole)
    told: dict[str, Epochs] = {}
    made: dict[int, nn.Module] = {}
    names = [each.name for each in header.levels]
    for place, number in enumerate(numbers):
        name = f"{names[number]}-{suffix}"
        how = one_of_several(name, place, keep=keep, log=log, progress=progress, report=report, **(training or {}))
        made[number], told[name] = remake(computable(of_level(number)), teacher, how)
    if not is_main():
        return told
    if last in made:
        names.insert(last, names[last])
    for number in made:
        names[number] = f"{names[number]}-{suffix}"
    measured = {each.name: dict(each.metrics) for each in header.levels}
    if metrics is not None:
        measured |= {names[number]: dict(metrics(each, header.levels[number])) for number, each in made.items()}
    old = {number: each.name for number, each in enumerate(header.levels) if each.own}
    save(
        output, whole, planned.plan, planned.levels,
        scores=planned.scores,
        names=names,
        model_name=str(header.model.get("name", "")),
        arguments=header.model.get("arguments", {}),
        input=header.input,
        recipe={**header.recipe, **recipe},
        metrics={name: found for name, found in measured.items() if name in names},
        tuned={number: load_state(path, number) for number in range(last) if number not in {*made, *old}},
        made={**{number: of_level(number) for number in old}, **made},
        contract=header.contract,
        overwrite=overwrite,
    )  # fmt: skip
    return told
