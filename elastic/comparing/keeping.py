"""Keeping: one JSON line for each run, so that a comparison can be stopped at any moment and goes on from there.

The first line says what all runs have in common. A line is whole if it ends; what was torn off is cut away when the
next one is written.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from elastic.comparing.records import Header, Run
from elastic.errors import ComparisonMismatch, FileFormatError, PathError

BEGINNING = b'{"format":"elastic compare'

Key = tuple[str, str, int]  # criterion, allocation, seed
Record = TypeVar("Record", Header, Run)


@dataclass
class Book:
    """The runs that there are, and the file that they and new ones are kept in; without a path, in memory alone."""

    path: Path | None = None
    header: Header | None = None
    runs: dict[Key, Run] = field(default_factory=dict)
    end: int = 0  # bytes of the lines that are whole

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
        return ComparisonMismatch(
            f"{self.path} holds runs with {found}, not {asked}; give another output, or move that file away"
        )

    def _append(self, record: Header | Run) -> None:
        if self.path is None:
            return
        line = record.model_dump_json().encode() + b"\n"
        try:
            with self.path.open("r+b" if self.path.exists() else "xb") as file:
                file.truncate(self.end)
                file.seek(self.end)
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise PathError(f"can't write {self.path}: {error.strerror or error}") from error
        self.end += len(line)


def open_book(path: str | Path | None) -> Book:
    """Return the book of a file, a torn last line left out; an empty one if there is no file yet.

    Raises FileFormatError if it is another kind of file or a line of it can't be read, PathError if it can't be opened.
    """
    if path is None:
        return Book()
    path = Path(path)
    try:
        data = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise PathError(f"can't read {path}: {error.strerror or error}") from error
    if not (data.startswith(BEGINNING) or BEGINNING.startswith(data)):
        raise FileFormatError(f"{path} holds no runs of `elastic compare`; give another output")
    *lines, torn = data.split(b"\n")
    header = _parsed(Header, lines[0], f"{path}, line 1") if lines else None
    runs = [_parsed(Run, line, f"{path}, line {number}") for number, line in enumerate(lines[1:], 2)]
    return Book(path, header, {run.key: run for run in runs}, len(data) - len(torn))


def _parsed(record: type[Record], line: bytes, where: str) -> Record:
    try:
        return record.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise FileFormatError(f"{where}: {field + ': ' if field else ''}{first['msg']}") from error
