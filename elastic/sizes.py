"""Sizes in bytes, to and from text."""

import re

from elastic.errors import TargetError

SIZE = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
NUMBER = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*([A-Za-z%]*)")  # with its unit


def parse_size(text: str) -> int:
    """Return the bytes that a text like `2GiB` or `500 MB` says.

    Raises TargetError if it can't be read.
    """
    match = NUMBER.fullmatch(text.strip())
    factor = SIZE.get(match.group(2).lower()) if match else None
    if match is None or factor is None or float(match.group(1)) <= 0:
        raise TargetError(f"can't read the size {text!r}; write a number above 0 with kB, MB, GB, KiB, MiB or GiB")
    return round(float(match.group(1)) * factor)


def size_text(number: float) -> str:
    """Return bytes as kB, MB or GB."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number >= scale:
            return f"{number / scale:.2f} {unit}"
    return f"{int(number)} B"
