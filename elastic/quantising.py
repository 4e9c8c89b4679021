"""Quantising levels of a file: the same widths in few bits; the largest stays, and gets one of few bits below it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn
from torch.utils.data import Dataset

from elastic.metadata import Level, find_level, read_header
from elastic.quantise import Outcome, layer_outcomes, packed_size, quantise
from elastic.recipes import Recipe
from elastic.remaking import Measure, remake_levels
from elastic.training import Epoch, Moment


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
    training: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    **options: Any,
) -> tuple[Outcome, ...]:
    """Write a file with levels in so many bits, and return what each of these came to, smallest first.

    A smaller level is replaced; below the largest, which stays bit for bit, there is one more. Each is calibrated on
    images, and trained by the recipe where one is given, with the largest level as its teacher. `network` gives that of
    a level, for a file that names none; `measure` the accuracy of a network, for the file and beside that of
    floats. `keep`, `log`, `progress` and `report` are as in `gate_channels`, `training` other options of `train`,
    `options` those of `quantise`. Of several processes the first alone measures and writes.

    Raises InvalidBits for a level that is of few bits already, GatedLevel for one with gates, OutputExists before any
    work, and what `quantise`, `load` and `save` raise.
    """
    done: list[_Done] = []
    tops: dict[int, dict[str, float]] = {}

    def remake(model: nn.Module, teacher: nn.Module, how: dict[str, Any]) -> tuple[nn.Module, tuple[Epoch, ...]]:
        before: list[nn.Module] = []
        few, epochs = quantise(
            model, dataset, recipe, bits=bits, teacher=teacher, training=how, calibrated=before.append, **options
        )
        done.append(_Done(model, before[0] if before else None, few, epochs))
        return few, epochs

    def metrics(made: nn.Module, level: Level) -> dict[str, float]:
        one = next(each for each in done if each.few is made)
        tops[id(made)] = {} if measure is None else one.top1(measure)
        return {} if measure is None else {"top1": list(tops[id(made)].values())[-1]}

    trained = {} if recipe is None else {"quantisation": recipe.model_dump(mode="json")}
    remake_levels(
        path, output, remake, suffix=bits, recipe={"bits": bits, **trained}, levels=levels, network=network,
        metrics=metrics, keep=keep, log=log, progress=progress, report=report, training=training, overwrite=overwrite,
    )  # fmt: skip
    header = read_header(path)
    sources = [header.levels[number] for number in sorted({find_level(header, each) for each in levels})]
    return tuple(
        Outcome(
            f"{level.name}-{bits}",
            level.name,
            level.bytes,
            packed_size(one.few),
            layer_outcomes(one.before or one.few, one.few),
            tops.get(id(one.few), {}),
            one.epochs,
        )
        for level, one in zip(sources, done, strict=True)
    )


@dataclass(frozen=True, eq=False)
class _Done:
    floats: nn.Module
    before: nn.Module | None  # calibrated; None if nothing was trained
    few: nn.Module
    epochs: tuple[Epoch, ...]

    def top1(self, measure: Measure) -> dict[str, float]:
        """Return the accuracies of a level in floats, calibrated and trained."""
        if self.before is None:
            return {"float": measure(self.floats), "calibrated": measure(self.few)}
        return {"float": measure(self.floats), "calibrated": measure(self.before), "trained": measure(self.few)}
