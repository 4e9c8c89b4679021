"""Open an elastic file: its header beside what is really stored, compared before any tensor is read."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from elastic.errors import FileFormatError
from elastic.metadata.container import Container, FilePath, open_container
from elastic.metadata.keys import SCORE, axis_key, part_of, unit_key, whole_key
from elastic.metadata.schema import KEY, Header, names_at, parse_header
from elastic.metadata.shells import Levels
from elastic.metadata.tensors import Bits


@dataclass(frozen=True, eq=False)
class Axis:
    """An elastic axis: the level of each position, and how many positions each level has."""

    levels: Levels
    counts: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Stored:
    """An open elastic file: its header, and for each tensor the levels of which it holds a whole value."""

    container: Container
    header: Header
    wholes: Mapping[str, list[int]]

    @cached_property
    def axes(self) -> Mapping[str, Axis]:
        """Every stored axis by its ID."""
        return {key: self._axis(key) for key in ids(self.header.axes)}

    def _axis(self, key: str) -> Axis:
        levels, most = self.array(axis_key(key), "U8"), len(self.header.levels)
        if levels.max(initial=0) >= most:
            raise FileFormatError(
                f"{self.container.path}: {axis_key(key)} names level {levels.max()} of {most}; damaged"
            )
        return Axis(levels, tuple(np.bincount(levels, minlength=most).cumsum().tolist()))

    def array(self, key: str, dtype: str) -> Bits:
        """Return a copy of a stored array, which must have one axis and a dtype."""
        entry = self.container.entries[key]
        if entry.dtype != dtype or len(entry.shape) != 1:
            raise FileFormatError(
                f"{self.container.path}: {key} is {entry.dtype} {list(entry.shape)}, not {dtype}; damaged"
            )
        return self.container.bits(key).copy()


def opened(path: FilePath) -> Stored:
    """Return an open elastic file.

    Raises PathError if there is no such file, FileFormatError if it is not a whole elastic file of a known version.
    """
    container = open_container(path)
    if KEY not in container.metadata:
        raise FileFormatError(f"{path} is a plain safetensors file, not an elastic one; save a pruned network first")
    header = parse_header(container.metadata[KEY], str(path))
    return Stored(container, header, _wholes(container, header))


def ids(axes: Mapping[str, Mapping[int, str]]) -> set[str]:
    """Return the IDs of axes."""
    return {key for of_tensor in axes.values() for key in of_tensor.values()}


def _wholes(container: Container, header: Header) -> dict[str, list[int]]:
    entries = container.entries
    wholes: dict[str, list[int]] = {name: [] for name in header.names if name not in header.aliases}
    wholes |= {name: [] for level in header.levels for name in level.own}
    beside = {axis_key(key) for key in ids(header.axes)} | {unit_key(key) for key in ids(header.units)}
    if missing := sorted((_starts(header) | beside) - entries.keys()):
        raise FileFormatError(
            f"{container.path}: the header speaks of {missing[0]!r}, which is not stored; it is damaged"
        )
    there = [set(names_at(header, level)) for level in range(len(header.levels))]
    for key in entries.keys() - beside - {SCORE}:
        part = part_of(key, wholes)
        if part is None or part[1] >= len(header.levels):
            raise FileFormatError(f"{container.path} stores {key!r}, which the header doesn't speak of; it is damaged")
        name, level, block = part
        if name not in there[level]:
            raise FileFormatError(f"{container.path} stores {key!r}, but that level has no {name!r}; it is damaged")
        if block is None:
            wholes[name].append(level)
    return wholes


def _starts(header: Header) -> set[str]:
    """Return the keys of whole values that have to be stored: where a tensor is first, and all that levels own."""
    found: set[str] = set()
    before: set[str] = set()
    for level, of in enumerate(header.levels):
        here = set(names_at(header, level).values())
        found |= {whole_key(name, level) for name in (here - before) | set(of.own)}
        before = here
    return found
