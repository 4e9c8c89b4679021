"""Quantising levels of a file: the same widths in few bits; the largest stays, and gets one of few bits below it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn
from torch.utils.data import Dataset

from elastic.metadata import Level
from elastic.quantise import quantise
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
) -> dict[str, tuple[Epoch, ...]]:
    """Write a file with levels in so many bits, and return what was told of each epoch, by the names of these levels.

    A smaller level is replaced; below the largest, which stays bit for bit, there is one more. Each is calibrated on
    images, and trained by the recipe where one is given, with the largest level as its teacher. `network` gives that of
    a level, for a file that names none; `measure` the accuracy of a network, for the file. `keep`, `log`, `progress`
    and `report` are as in `gate_channels`, `training` other options of `train`, `options` those of `quantise`. Of
    several processes the first alone writes.

    Raises InvalidBits for a level that is of few bits already, GatedLevel for one with gates, OutputExists before any
    work, and what `quantise`, `load` and `save` raise.
    """

    def remake(model: nn.Module, teacher: nn.Module, how: dict[str, Any]) -> tuple[nn.Module, tuple[Epoch, ...]]:
        return quantise(model, dataset, recipe, bits=bits, teacher=teacher, training=how, **options)

    def metrics(made: nn.Module, level: Level) -> dict[str, float]:
        return {} if measure is None else {"top1": measure(made)}

    trained = {} if recipe is None else {"quantisation": recipe.model_dump(mode="json")}
    return remake_levels(
        path, output, remake, suffix=bits, recipe={"bits": bits, **trained}, levels=levels, network=network,
        metrics=metrics, keep=keep, log=log, progress=progress, report=report, training=training, overwrite=overwrite,
    )  # fmt: skip
