"""Read one level of an elastic file, and no bytes but that level's.

Whole tensors come back as private views of the file, whose pages are read when first used, as safetensors' own loader
does it; grown tensors share one new array. Everything that a header claims is compared with what is stored before
that array is made, so that it is never larger than the file.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from elastic.errors import FileFormatError, ProofFailed, ShellMismatch
from elastic.metadata.container import MOST_ELEMENTS, Container, FilePath, open_container
from elastic.metadata.growing import grow
from elastic.metadata.keys import SCORE, block_key, unit_key, whole_key
from elastic.metadata.opening import Axis, Stored, ids, opened
from elastic.metadata.schema import KEY, Header, find_level, names_at
from elastic.metadata.shells import Levels
from elastic.metadata.tensors import DTYPES, Tensor, level_digest, tensor_digest

Units = npt.NDArray[np.int32]
ALIGNMENT = 64  # bytes


@dataclass(frozen=True, eq=False)
class Parts:
    """What one level's tensor is put together from: a whole value, and the blocks above it by level and number."""

    axes: Mapping[int, Axis]
    start: int
    whole: str
    blocks: Mapping[tuple[int, int], str]
    dtype: str
    shape: tuple[int, ...]


def is_elastic(path: FilePath) -> bool:
    """Return whether a file is a safetensors file that says it is an elastic one; what it says is not checked.

    Raises PathError if there is no such file.
    """
    try:
        return KEY in open_container(path).metadata
    except FileFormatError:
        return False


def read_header(path: FilePath) -> Header:
    """Return what an elastic file says of itself.

    Raises PathError if there is no such file, FileFormatError if it is not a whole elastic file of this version.
    """
    return opened(path).header


def read_level(
    path: FilePath, level: int | str | None = None, names: Collection[str] | None = None
) -> dict[str, Tensor]:
    """Return the state dict of a level, in the order of the original; the level by number or name, None is the largest.

    With `names` these tensors alone, and aliases of them.

    Aliases of a tied tensor are the same object. The arrays may be written to, the file stays as it is; they keep it
    open. Digests are not compared: `verify_level` does that.

    Raises UnknownName if there is no such level, ShellMismatch if a tensor's parts don't fit together, and what
    `read_header` raises.
    """
    stored = opened(path)
    number = find_level(stored.header, level)
    first = names_at(stored.header, number)
    asked = dict.fromkeys(own for own in first.values() if names is None or own in names)
    tensors = _assembled(stored.container, {name: _parts(stored, name, number) for name in asked}, number)
    return {name: tensors[own] for name, own in first.items() if own in tensors}


def read_starts(path: FilePath) -> dict[str, tuple[int, ...]]:
    """Return for each tensor, aliases left out, the levels at which a whole value of it begins anew, ascending.

    Tensors that some levels have of their own are among them.
    """
    return {name: tuple(sorted(levels)) for name, levels in opened(path).wholes.items()}


def read_shells(
    path: FilePath, below: int, level: int, names: Collection[str]
) -> dict[str, dict[int, dict[int, Tensor]]]:
    """Return what the levels above `below` up to `level` add to these tensors, by name, level and number of the block.

    Where a tensor begins anew above `below`, what comes before that.

    Raises ShellMismatch if parts don't fit together.
    """
    stored = opened(path)
    found: dict[str, dict[int, dict[int, Tensor]]] = {}
    for name in names:
        parts = _parts(stored, name, max(each for each in range(level + 1) if not _begins(stored, name, below, each)))
        new = {place: key for place, key in parts.blocks.items() if place[0] > below}
        found[name] = {}
        for (age, number), key in new.items():
            found[name].setdefault(age, {})[number] = Tensor(parts.dtype, stored.container.bits(key))
    return found


def _begins(stored: Stored, name: str, below: int, level: int) -> bool:
    """Return whether a tensor begins anew above `below` and up to `level`."""
    return any(below < each <= level for each in stored.wholes[name])


def read_axes(path: FilePath) -> dict[str, dict[int, Levels]]:
    """Return for each elastic axis of each tensor the level of every position of the largest tensor, uint8."""
    stored = opened(path)
    return {
        name: {axis: stored.axes[key].levels for axis, key in axes.items()} for name, axes in stored.header.axes.items()
    }


def read_units(path: FilePath) -> dict[str, dict[int, Units]]:
    """Return for each labelled axis of each tensor the unit of every position, int32; empty if the file has none."""
    stored = opened(path)
    kept = {key: stored.array(unit_key(key), "I32") for key in ids(stored.header.units)}
    return {name: {axis: kept[key] for axis, key in axes.items()} for name, axes in stored.header.units.items()}


def read_score(path: FilePath) -> npt.NDArray[np.float32] | None:
    """Return the score of every unit, float32 [units], or None if the file has none."""
    stored = opened(path)
    return stored.array(SCORE, "F32") if SCORE in stored.container.entries else None


def verify_level(path: FilePath, level: int | str | None = None) -> None:
    """Read a level and compare it with the digests that were stored with it.

    Raises ProofFailed if it differs, naming the first tensor that does if the level is the largest.
    """
    header = read_header(path)
    number = find_level(header, level)
    name = header.levels[number].name
    digests = {each: tensor_digest(tensor) for each, tensor in read_level(path, number).items()}
    if number == len(header.levels) - 1:
        for each, digest in digests.items():
            if digest != header.digests[each]:
                raise ProofFailed(f"{path}: {each} of level {name!r} is not what was saved; fetch the file again")
    if level_digest(digests) != header.levels[number].digest:
        raise ProofFailed(f"{path}: level {name!r} is not what was saved; fetch the file again")


def _parts(stored: Stored, name: str, level: int) -> Parts:
    axes = {axis: stored.axes[key] for axis, key in sorted(stored.header.axes.get(name, {}).items())}
    start = max(each for each in stored.wholes[name] if each <= level)
    key = whole_key(name, start)
    entry = stored.container.entries[key]
    if max(axes, default=-1) >= len(entry.shape):
        raise ShellMismatch(
            f"{stored.container.path}: {key} has {len(entry.shape)} axes, but levels along axis {max(axes)}"
        )
    shape = [axes[axis].counts[start] if axis in axes else length for axis, length in enumerate(entry.shape)]
    _check_part(stored, key, entry.dtype, shape)
    blocks = {}
    for age in range(start + 1, level + 1) if axes else ():
        for number, axis in enumerate(axes):
            lengths = _lengths(axes, age, axis)
            if all(lengths.values()):
                blocks[age, number] = block_key(name, age, number)
                expected = [lengths.get(each, length) for each, length in enumerate(shape)]
                _check_part(stored, blocks[age, number], entry.dtype, expected)
    grown = tuple(axes[axis].counts[level] if axis in axes else length for axis, length in enumerate(shape))
    if math.prod(length or 1 for length in grown) >= MOST_ELEMENTS:
        raise ShellMismatch(f"{stored.container.path}: {name} grows to {list(grown)}, more than any memory holds")
    return Parts(axes, start, key, blocks, entry.dtype, grown)


def _lengths(axes: Mapping[int, Axis], age: int, new: int) -> dict[int, int]:
    def length(axis: int, counts: tuple[int, ...]) -> int:
        if axis == new:
            return counts[age] - counts[age - 1]
        return counts[age - 1] if axis < new else counts[age]

    return {axis: length(axis, found.counts) for axis, found in axes.items()}


def _check_part(stored: Stored, key: str, dtype: str, shape: list[int]) -> None:
    entry = stored.container.entries.get(key)
    if entry is None or (entry.dtype, entry.shape) != (dtype, tuple(shape)):
        found = f"is {entry.dtype} {list(entry.shape)}" if entry else "is not stored"
        raise ShellMismatch(f"{stored.container.path}: {key} {found}, its axes ask for {dtype} {shape}; it is damaged")


def _assembled(container: Container, parts: Mapping[str, Parts], level: int) -> dict[str, Tensor]:
    grown = {name: of for name, of in parts.items() if of.shape != container.entries[of.whole].shape}
    sizes = {name: math.prod(of.shape) * DTYPES[of.dtype].itemsize for name, of in grown.items()}
    # One array for all of them: fresh memory costs as much as filling it, and large arrays get large pages.
    space = np.empty(sum(size + ALIGNMENT for size in sizes.values()), np.uint8)
    used = -space.ctypes.data % ALIGNMENT if sizes else 0
    tensors = {}
    for name, of in parts.items():
        if name not in sizes:
            tensors[name] = Tensor(of.dtype, container.bits(of.whole))
            continue
        out = space[used : used + sizes[name]].view(DTYPES[of.dtype]).reshape(of.shape)
        used += -(-sizes[name] // ALIGNMENT) * ALIGNMENT
        if out.size:
            whole = container.bits(of.whole)
            blocks = {place: container.bits(key) for place, key in of.blocks.items()}
            axes = [(axis, found.levels) for axis, found in of.axes.items()]
            grow(out, axes, of.start, level, whole if whole.size else None, blocks)
        tensors[name] = Tensor(of.dtype, out)
    return tensors
