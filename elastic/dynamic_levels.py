"""Gating levels of a file: the same widths with gates that inputs decide; the largest stays, and gets one below it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.utils.data import Dataset

from elastic.data.preprocessing import Preprocessing
from elastic.dynamic.channel import gate_channels_dynamically
from elastic.dynamic.counting import reset
from elastic.dynamic.precision import gate_precision
from elastic.dynamic.spending import spending
from elastic.dynamic_gating import ChannelGating, PrecisionGating
from elastic.errors import FileFormatError
from elastic.metadata import Level, read_header
from elastic.recipes import Recipe
from elastic.remaking import Measure, remake_levels
from elastic.tracing import Example
from elastic.training import Epoch, Moment


def gate_levels_dynamically(
    path: str | Path,
    output: str | Path,
    dataset: Dataset[Any],
    recipe: Recipe | None = None,
    *,
    gating: ChannelGating | PrecisionGating | None = None,
    levels: Sequence[int | str] = ("largest",),
    example: Example | None = None,
    calibration: int = 512,
    network: Callable[[int], nn.Module] | None = None,
    measure: Measure | None = None,
    keep: str | Path | None = None,
    log: str | Path | None = None,
    progress: Callable[[str, Moment], None] | None = None,
    report: Callable[[str, Epoch], None] | None = None,
    training: Mapping[str, Any] | None = None,
    settling: Callable[[float], None] | None = None,
    overwrite: bool = False,
    **of_trace: Any,
) -> dict[str, tuple[Epoch, ...]]:
    """Write a file with gates on levels, and return what was told of each epoch, by the names of these levels.

    The gating, ChannelGating unless one is given, or PrecisionGating, says of which kind. A smaller level is replaced;
    below the largest, which stays bit for bit, there is one more. Weights and gates are trained by the recipe, with the
    largest level as their teacher, and are the level's own. `example` is of the size that the file says unless one is
    given. So many images for `calibration`. `network` gives that of a level, for a file that names none; `measure` the
    accuracy of a network on images, for the file, which then says too what was computed for them. `keep`, `log`,
    `progress` and `report` are as in `gate_channels`, `training` other options of `train`, `settling` as in
    `gate_channels_dynamically`, the rest those of `trace`. Of several processes the first alone writes.

    Raises GatedLevel for a level with gates already, InvalidBits for one of few bits, OutputExists before any work,
    FileFormatError for a file that says nothing of its input, where no example is given, and what
    `gate_channels_dynamically` or `gate_precision`, `load` and `save` raise.
    """
    gating, image = gating or ChannelGating(), example_of_file(path) if example is None else example

    def remake(model: nn.Module, teacher: nn.Module, how: dict[str, Any]) -> tuple[nn.Module, tuple[Epoch, ...]]:
        options = {"calibration": calibration, "teacher": teacher, "training": how, "settling": settling, **of_trace}
        if isinstance(gating, PrecisionGating):
            found, _, epochs = gate_precision(model, image, dataset, recipe, gating=gating, **options)
        else:
            found, _, epochs = gate_channels_dynamically(model, image, dataset, recipe, gating=gating, **options)
        return found.eval(), epochs

    def metrics(made: nn.Module, level: Level) -> dict[str, float]:
        if measure is None:
            return {}
        reset(made)
        return {"top1": measure(made), **spending(made, level.macs).metrics()}

    trained = {"dynamic_gating": (recipe or Recipe()).model_dump(mode="json")}
    return remake_levels(
        path, output, remake, suffix=suffix_of(gating), recipe=trained, levels=levels, network=network,
        metrics=metrics, keep=keep, log=log, progress=progress, report=report, training=training, overwrite=overwrite,
    )  # fmt: skip


def suffix_of(gating: ChannelGating | PrecisionGating) -> str:
    """Return what the name of a gated level ends with: for precision gates the bits of weights, inputs, predictions."""
    if isinstance(gating, ChannelGating):
        return "gated"
    return f"gated-W{gating.weight_bits}A{gating.bits}-{gating.prediction_bits}"


def example_of_file(path: str | Path) -> Tensor:
    """Return an image of the size that a file says. Raises FileFormatError if it says none."""
    header = read_header(path)
    if not header.input:
        raise FileFormatError(f"{path} doesn't say what its input looks like; give an example")
    return Preprocessing.from_dict(header.input, where=str(path)).example()
