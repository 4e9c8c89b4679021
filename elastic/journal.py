"""Journal: a file of lines of JSON that grows by one as soon as something is measured.

A process may be killed at any time: a line is whole if it ends, and what was torn off is cut away when the next one is
written. Lines are validated, and nothing in them is ever run.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from elastic.errors import FileFormatError, PathError

Record = TypeVar("Record", bound=BaseModel)


@dataclass
class Journal:
    """The whole lines of a file as it was opened, what was torn off, and the bytes that are whole by now."""

    path: Path
    lines: list[bytes] = field(default_factory=list)
    torn: bytes = b""
    end: int = 0

    def append(self, record: BaseModel) -> None:
        """Write a record as the last line. Raises PathError if it can't be written."""
        self._write(record.model_dump_json().encode() + b"\n")

    def cut_torn(self) -> None:
        """Cut off a line without an end. Raises PathError if it can't be written."""
        if self.torn:
            self._write(b"")

    def _write(self, line: bytes) -> None:
        try:
            with self.path.open("r+b" if self.path.exists() else "xb") as file:
                file.truncate(self.end)
                file.seek(self.end)
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as reason:
            raise PathError(
                f"can't write {self.path}: {reason.strerror or reason}; what was measured before is kept"
            ) from reason
        self.torn = b""
        self.end += len(line)


def open_journal(path: Path) -> Journal:
    """Return the journal of a file, an empty one if there is no file. Raises PathError if it can't be read."""
    try:
        data = path.read_bytes() if path.exists() else b""
    except OSError as reason:
        raise PathError(f"can't read {path}: {reason.strerror or reason}") from reason
    *lines, torn = data.split(b"\n")
    return Journal(path, lines, torn, len(data) - len(torn))


def parsed(record: type[Record], line: bytes, wrong: str, advice: str) -> Record:
    """Return the record of a line. Raises FileFormatError, which says what is wrong with it and what to do."""
    try:
        return record.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        what = ": ".join([*(str(part) for part in first["loc"]), first["msg"]])
        raise FileFormatError(f"{wrong}: {what}; {advice}") from error
