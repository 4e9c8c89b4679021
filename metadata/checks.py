"""Checks on one value of a parsed JSON document, each of which says where in the file it failed."""

import re
import sys
from collections.abc import Collection
from typing import Any, TypeVar

from elastic.errors import FileFormatError
from elastic.metadata.container import MOST_AXES
from elastic.metadata.jsontext import LARGEST, check

Choice = TypeVar("Choice", bound=str)

LONGEST = 1024  # letters of a name
DIGEST = re.compile("[0-9a-f]{64}", re.ASCII)
AXIS = re.compile("0|[1-9][0-9]?", re.ASCII)


class Found:
    """A value that a file holds, and where: every check returns it as what it must be, or raises FileFormatError."""

    def __init__(self, value: Any, file: str, place: str) -> None:
        self._value = value
        self.file = file
        self._place = place

    def __getitem__(self, key: str) -> "Found":
        if key not in self.object():
            raise self.refusal(f"lacks {key!r}")
        return Found(self._value[key], self.file, f"{key!r} of {self._place}" if len(key) <= 80 else self._place)

    def refusal(self, reason: str) -> FileFormatError:
        """Return the error that says what was found here and what is wrong with it."""
        found = ascii(self._value)[:60] if isinstance(self._value, str | int | float) else type(self._value).__name__
        return FileFormatError(f"{self.file}: {self._place} {reason} (found {found}); it is damaged or no elastic file")

    def named(self) -> Collection[str]:
        """Return the keys of an object, each of them a name."""
        for key in self.object():
            if not _is_name(key):
                raise self.refusal(f"has the key {ascii(key)[:40]}, which is no plain name")
        return self.object().keys()

    def only(self, known: Collection[str]) -> None:
        """Refuse keys that this version doesn't know."""
        if unknown := sorted(set(self.object()) - set(known)):
            raise self.refusal(f"has the unknown key {ascii(unknown[0])[:40]}")

    def object(self) -> dict[str, Any]:
        """Return a JSON object."""
        if not isinstance(self._value, dict):
            raise self.refusal("must be an object")
        return self._value

    def json(self) -> dict[str, Any]:
        """Return a JSON object with everything in it: finite, encodable, not nested too deeply."""
        check(self.object(), f"{self.file}: {self._place}")
        return self.object()

    def items(self, least: int, most: int) -> "list[Found]":
        """Return the items of a list of a length within bounds."""
        if not isinstance(self._value, list) or not least <= len(self._value) <= most:
            raise self.refusal(f"must be a list of {least} to {most}")
        return [Found(each, self.file, f"{number} of {self._place}") for number, each in enumerate(self._value)]

    def distinct_texts(self) -> list[str]:
        """Return a list of names, none of them twice."""
        if not isinstance(self._value, list) or not all(_is_name(each) for each in self._value):
            raise self.refusal("must be a list of plain names")
        if len(set(self._value)) < len(self._value):
            raise self.refusal("has the same name twice")
        return self._value

    def text(self) -> str:
        """Return a name: printable, not empty, not endless."""
        if not _is_name(self._value):
            raise self.refusal(f"must be plain text of 1 to {LONGEST} letters")
        return str(self._value)

    def one_of(self, choices: tuple[Choice, ...]) -> Choice:
        """Return the choice that a text is."""
        for choice in choices:
            if self._value == choice:
                return choice
        raise self.refusal(f"must be one of {', '.join(choices)}")

    def count(self) -> int:
        """Return a whole number that is not negative."""
        if type(self._value) is not int or not 0 <= self._value <= LARGEST:
            raise self.refusal("must be a whole number, 0 or more, of at most 63 bits")
        return self._value

    def number(self) -> float:
        """Return a finite number as a float."""
        if type(self._value) not in (int, float) or not abs(self._value) <= sys.float_info.max:
            raise self.refusal("must be a finite number")
        return float(self._value)

    def digest(self) -> str:
        """Return a SHA-256 in hex."""
        if not isinstance(self._value, str) or not DIGEST.fullmatch(self._value):
            raise self.refusal("must be a SHA-256 of 64 hex digits")
        return self._value

    def axis(self, key: str) -> int:
        """Return one of this object's keys as the number of an axis."""
        if not AXIS.fullmatch(key) or int(key) >= MOST_AXES:
            raise self.refusal(f"has {ascii(key)[:40]} where the number of an axis must be")
        return int(key)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= LONGEST and value.isprintable()
