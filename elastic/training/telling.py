"""Telling: what is said of each epoch, to a file of JSON lines, to the caller, and to trackers of experiments.

Trackers are accelerate's: TensorBoard, Weights & Biases, trackio and others, each a package of its own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.tracking import get_available_trackers

from elastic.errors import InvalidRecipe
from elastic.metadata.replacing import replacing
from elastic.recipes import Recipe
from elastic.training.records import Epoch

RUNS = "runs"  # the folder beside the log


@dataclass(eq=False)
class Teller:
    """Whom epochs are told to, in the first process; nobody in the others."""

    log: Path | None
    report: Callable[[Epoch], None] | None
    trackers: Sequence[str]
    started: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        known = [str(each) for each in get_available_trackers()]
        if unknown := [name for name in self.trackers if name not in known]:
            raise InvalidRecipe(
                f"tracker {unknown[0]!r} is not there; install its package. There are: {', '.join(known) or 'none'}"
            )
        if self.trackers and self.log is None:
            raise InvalidRecipe("trackers need a log: its name is that of the run, its folder is where files go")

    def start(self, accelerator: Accelerator, recipe: Recipe) -> None:
        """Start the trackers, each with the recipe."""
        if not self.trackers or self.log is None or not accelerator.is_main_process:
            return
        settings = {name: _plain(value) for name, value in recipe.model_dump(mode="json").items()}
        accelerator.init_trackers(self.log.stem, settings)
        self.started = accelerator.trackers

    def tell(self, epochs: Sequence[Epoch]) -> None:
        """Tell the last of the epochs, which are all so far."""
        if self.log is not None:
            with replacing(self.log, overwrite=True) as file:
                file.writelines(each.model_dump_json().encode() + b"\n" for each in epochs)
        last = epochs[-1]
        for tracker in self.started:
            told = last.model_dump(exclude={"epoch", "told"}, exclude_none=True) | last.told
            tracker.log(told, step=last.epoch)
        if self.report is not None:
            self.report(last)

    def finish(self) -> None:
        """Finish the trackers."""
        for tracker in self.started:
            tracker.finish()


def _plain(value: Any) -> Any:
    return str(value) if value is None or isinstance(value, list) else value
