"""What the command line shows: one aligned table, numbers with units, a progress line on stderr."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

errors = Console(stderr=True, highlight=False)


def show(result: Mapping[str, Any], as_json: bool, render: Callable[[], None]) -> None:
    """Print a result for a program or for a person."""
    if as_json:
        print(json.dumps(_finite(result), indent=1, sort_keys=True, allow_nan=False))
    else:
        render()


def _finite(value: Any) -> Any:
    # JSON has no word for a loss that is infinite or no number.
    match value:
        case dict():
            return {key: _finite(each) for key, each in value.items()}
        case list() | tuple():
            return [_finite(each) for each in value]
        case float():
            return value if math.isfinite(value) else None
    return value


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, left: Sequence[int] = (0,)) -> None:
    """Print rows to stdout, the columns in `left` to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    for row in (columns, *rows):
        cells = [
            cell.ljust(width) if place in left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())


def say(text: str) -> None:
    """Print a line to stdout."""
    print(text)


def plain(value: object) -> str:
    """Return a value as text on one line that can do nothing to a terminal: what a file says is printed with this."""
    text = str(value)
    return text if text.isprintable() else ascii(text)


def note(text: str) -> None:
    """Print a line of progress to stderr."""
    errors.print(text, markup=False, soft_wrap=True)


def count(number: float) -> str:
    """Return a count with k, M or G: three digits that matter."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= 0.9995 * size:  # what would round to 1000 of the smaller unit
            return f"{number / size:.3g} {unit}" if number < 999.5 * size else f"{number / size:.0f} {unit}"
    return str(int(number))


class Steps:
    """A progress bar on stderr where that is a terminal, and plain lines where not."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.bar: Progress | None = None
        self.task: Any = None
        self.said = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Take the bar away; gives the cursor back, also when interrupted."""
        if self.bar is not None:
            self.bar.stop()

    def __call__(self, done: int, total: int, told: str = "") -> None:
        """Show that `done` of `total` are done, and in the bar what is told beside."""
        if errors.is_terminal:
            if self.bar is None:
                beside = TextColumn("{task.fields[told]}")
                columns = (
                    TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), beside
                )  # fmt: skip
                self.bar = Progress(*columns, console=errors, transient=True)
                self.bar.start()
                self.task = self.bar.add_task(self.what, total=total, told=told)
            self.bar.update(self.task, completed=done, total=total, told=told)
        elif done / total >= self.said + 0.25 or (done >= total and self.said == 0):
            self.said = done / total
            note(f"{self.what}: {done:,} of {total:,}")
