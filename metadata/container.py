"""The safetensors container: a header of names, dtypes, shapes and offsets, then the bytes of the tensors.

Written here and not by the safetensors library, because that wants every tensor in memory at once; read here, because
its numpy side knows no BF16 and tells no offsets. The layout is byte for byte the library's: the eight-byte length of
a JSON header, the header padded with spaces to a multiple of eight, tensors by dtype backwards and then by name.
"""

import json
import math
import mmap
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from elastic.errors import FileFormatError, PathError
from elastic.metadata.jsontext import parse
from elastic.metadata.tensors import DTYPES, Bits

HEADER_CAP = 64 << 20  # bytes; safetensors itself stops at 100 MB
MOST_AXES = 32
MOST_ELEMENTS = 1 << 58  # numpy multiplies the lengths that are not 0 even where another is
RANK = {dtype: rank for rank, dtype in enumerate(DTYPES)}

FilePath = str | os.PathLike[str]
Kind = tuple[str, tuple[int, ...]]  # dtype and shape


class Entry(NamedTuple):
    """Where one tensor lies, counted from the start of the file."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True, eq=False)
class Container:
    """An open safetensors file; a page is read from disk when an array that lies on it is first used."""

    path: Path
    entries: Mapping[str, Entry]
    metadata: Mapping[str, str]
    buffer: mmap.mmap

    def bits(self, key: str) -> Bits:
        """Return what is stored as a private view of the file; writing to it leaves the file unchanged."""
        dtype, shape, begin, end = self.entries[key]
        kind = DTYPES[dtype]
        if begin == end:
            return np.empty(shape, kind)
        view = np.frombuffer(self.buffer, kind, (end - begin) // kind.itemsize, begin).reshape(shape)
        return view if begin % kind.itemsize == 0 else view.copy()  # other writers need not align; torch wants it


def layout(kinds: Mapping[str, Kind]) -> dict[str, Kind]:
    """Return the tensors in the order of the file."""
    return {name: kinds[name] for name in sorted(sorted(kinds), key=lambda name: -RANK[kinds[name][0]])}


def header_bytes(kinds: Mapping[str, Kind], metadata: Mapping[str, str]) -> bytes:
    """Return what a safetensors file begins with, up to its first tensor."""
    header: dict[str, object] = {"__metadata__": dict(sorted(metadata.items()))}
    offset = 0
    for name, (dtype, shape) in layout(kinds).items():
        end = offset + math.prod(shape) * DTYPES[dtype].itemsize
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def plain_bytes(kinds: Mapping[str, Kind]) -> int:
    """Return the exact size of the file that `write_plain` makes of tensors of these dtypes and shapes, in bytes.

    Raises FileFormatError if a dtype can't be stored.
    """
    for name, (dtype, _) in kinds.items():
        if dtype not in DTYPES:
            raise FileFormatError(f"{name} has dtype {dtype!r}, which can't be stored; known: {', '.join(DTYPES)}")
    data = sum(math.prod(shape) * DTYPES[dtype].itemsize for dtype, shape in kinds.values())
    return len(header_bytes(kinds, {"format": "pt"})) + data


def open_container(path: FilePath) -> Container:
    """Return the file with its header checked: every byte of the data belongs to exactly one tensor.

    Raises PathError if there is no such file, FileFormatError if it is not a whole safetensors file.
    """
    path = Path(path)
    if not path.is_file():
        raise PathError(f"{path} is {'not a file' if path.exists() else 'missing'}; give an elastic file")
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            text = _header_text(path, file.read(8), size)
            header = file.read(text)
            buffer = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY)
    except OSError as error:
        raise PathError(f"cannot read {path}: {error.strerror or error}; check its permissions") from error
    described = parse(header, f"{path}: the safetensors header", HEADER_CAP)
    if not isinstance(described, dict):
        raise FileFormatError(f"{path}: the safetensors header is no JSON object; the file is damaged")
    metadata = _metadata(path, described.pop("__metadata__", {}))
    entries = {name: _entry(path, name, entry, 8 + text) for name, entry in described.items()}
    _check_cover(path, entries, 8 + text, size)
    return Container(path, entries, metadata, buffer)


def _header_text(path: Path, first: bytes, size: int) -> int:
    length = int.from_bytes(first, "little")
    if len(first) < 8 or not 2 <= length <= min(size - 8, HEADER_CAP):
        raise FileFormatError(f"{path} is not a safetensors file, or was cut short: {size} bytes, header of {length}")
    return length


def _metadata(path: Path, found: Any) -> dict[str, str]:
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise FileFormatError(f"{path}: __metadata__ must map texts to texts; the file is damaged")
    return found


def _entry(path: Path, name: str, found: Any, start: int) -> Entry:
    try:
        dtype, shape, (begin, end) = found["dtype"], tuple(found["shape"]), found["data_offsets"]
    except (TypeError, KeyError, ValueError) as error:
        raise FileFormatError(f"{path}: {name!r} lacks a dtype, a shape or two offsets; the file is damaged") from error
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise FileFormatError(f"{path}: {name!r} has dtype {str(dtype)[:40]!r}; known: {', '.join(DTYPES)}")
    if len(shape) > MOST_AXES or not all(type(count) is int and count >= 0 for count in (*shape, begin, end)):
        raise FileFormatError(f"{path}: {name!r} has no valid shape or offsets; the file is damaged")
    if math.prod(length or 1 for length in shape) >= MOST_ELEMENTS:
        raise FileFormatError(f"{path}: {name!r} has shape {list(shape)}, more than any memory holds")
    nbytes = math.prod(shape) * DTYPES[dtype].itemsize
    if end - begin != nbytes:
        raise FileFormatError(f"{path}: {name!r} does not lie in the {nbytes} bytes that its shape takes")
    return Entry(dtype, shape, start + begin, start + end)


def _check_cover(path: Path, entries: Mapping[str, Entry], start: int, size: int) -> None:
    reached = start
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.begin != reached:
            raise FileFormatError(f"{path}: {name!r} begins at byte {entry.begin}, {reached} expected; it is damaged")
        reached = entry.end
    if reached != size:
        raise FileFormatError(f"{path} has {size} bytes, its tensors end at {reached}; fetch the whole file again")
