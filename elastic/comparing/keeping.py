"""Keeping: one JSON line for each run, so that a comparison can be stopped at any moment and goes on from there.

The first line says what all runs have in common.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from elastic.comparing.records import Header, Run
from elastic.errors import ComparisonMismatch, FileFormatError
from elastic.journal import Journal, open_journal, parsed

BEGINNING = b'{"format":"elastic compare'

Key = tuple[str, str, int]  # criterion, allocation, seed


@dataclass
class Book:
    """The runs that there are, and the file that they and new ones are kept in; without one, in memory alone."""

    journal: Journal | None = None
    header: Header | None = None
    runs: dict[Key, Run] = field(default_factory=dict)

    def opened(self, asked: Mapping[str, Any], make: Callable[[], Header]) -> Header:
        """Return the header that is there, or one that is made now and written.

        Raises ComparisonMismatch, naming what differs, if the runs were made otherwise than is asked now.
        """
        if self.header is None:
            self.header = make()
            self._append(self.header)
        for name, value in asked.items():
            if (found := getattr(self.header, name)) != value:
                raise self._mismatch(f"{name} {found}", value)
        return self.header

    def check(self, key: Key, options: Mapping[str, Any]) -> bool:
        """Return whether a run is there. Raises ComparisonMismatch if its allocation has other options."""
        if key not in self.runs:
            return False
        if (found := self.runs[key].options) != options:
            raise self._mismatch(f"allocation {key[1]} as {found}", options)
        return True

    def add(self, run: Run) -> None:
        """Change the book, and its file, by one more run. Raises PathError if it can't be written."""
        self.runs[run.key] = run
        self._append(run)

    def _mismatch(self, found: str, asked: Any) -> ComparisonMismatch:
        path = self.journal.path if self.journal is not None else "memory"
        return ComparisonMismatch(
            f"{path} holds runs with {found}, not {asked}; give another output, or move that file away"
        )

    def _append(self, record: Header | Run) -> None:
        if self.journal is not None:
            self.journal.append(record)


def open_book(path: str | Path | None) -> Book:
    """Return the book of a file, a torn last line left out; an empty one if there is no file yet.

    Raises FileFormatError if it is another kind of file or a line of it can't be read, PathError if it can't be opened.
    """
    if path is None:
        return Book()
    journal = open_journal(Path(path))
    first = journal.lines[0] if journal.lines else journal.torn
    if not (first.startswith(BEGINNING) or (BEGINNING.startswith(first) and not journal.lines)):
        raise FileFormatError(f"{path} holds no runs of `elastic compare`; give another output")
    header, runs = None, list[Run]()
    for number, line in enumerate(journal.lines, 1):
        wrong = f"{path}, line {number}"
        if number == 1:
            header = parsed(Header, line, wrong, "give another output")
        else:
            runs.append(parsed(Run, line, wrong, "delete the line"))
    return Book(journal, header, {run.key: run for run in runs})
