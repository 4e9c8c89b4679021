"""Several: what one of several trainings of a verb is given, by its name and its number."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from elastic.training.records import Epoch, Moment


def one_of_several(
    name: str,
    number: int | None,
    *,
    keep: str | Path | None,
    log: str | Path | None,
    progress: Callable[[str, Moment], None] | None,
    report: Callable[[str, Epoch], None] | None,
    **options: Any,
) -> dict[str, Any]:
    """Return options of `train`: files with the number in their names, and callbacks that are told the name too."""
    found = {**options, "keep": numbered(keep, number), "log": numbered(log, number)}
    if progress is not None:
        found["progress"] = partial(progress, name)
    if report is not None:
        found["report"] = partial(report, name)
    return found


def numbered(path: str | Path | None, number: int | None) -> Path | None:
    """Return the name of the file of one of several trainings: `net.training` becomes `net.0.training`."""
    if path is None or number is None:
        return None if path is None else Path(path)
    return Path(path).with_suffix(f".{number}{Path(path).suffix}")
