"""Keys: under which names of the safetensors file the parts of an elastic file lie."""

import re
from collections.abc import Collection

from elastic.errors import FileFormatError

SCORE = "~score"
PART = re.compile("~([1-9][0-9]{0,2})/(.+)", re.ASCII | re.DOTALL)
BLOCK = re.compile("(.+)/(0|[1-9][0-9]?)", re.ASCII | re.DOTALL)


def whole_key(name: str, level: int) -> str:
    """Return where a level's own whole value lies; that of level 0 bears the plain name."""
    return f"~{level}/{name}" if level else name


def block_key(name: str, level: int, number: int) -> str:
    """Return where one block of what a level adds lies; `number` counts the elastic axes."""
    return f"~{level}/{name}/{number}"


def axis_key(key: str) -> str:
    """Return where the levels of an axis lie."""
    return f"~axis/{key}"


def unit_key(key: str) -> str:
    """Return where the units of an axis lie."""
    return f"~unit/{key}"


def part_of(key: str, names: Collection[str]) -> tuple[str, int, int | None] | None:
    """Return name, level and number of the block (None for a whole value), or None if a key is no part of a tensor."""
    if key in names:
        return key, 0, None
    if not (part := PART.fullmatch(key)):
        return None
    level, rest = int(part[1]), part[2]
    if rest in names:
        return rest, level, None
    if (block := BLOCK.fullmatch(rest)) and block[1] in names:
        return block[1], level, int(block[2])
    return None


def check_names(names: Collection[str], file: str) -> None:
    """Raise FileFormatError if a tensor has a name that the format keeps, or that could be another's part."""
    known = set(names)
    for name in names:
        if name.startswith("~") or name == "__metadata__":
            raise FileFormatError(f"{file}: a tensor can't be called {name!r}, the format keeps that; rename it")
        if (block := BLOCK.fullmatch(name)) and block[1] in known:
            raise FileFormatError(f"{file}: {name!r} could be stored as a block of {block[1]!r}; rename one of them")
