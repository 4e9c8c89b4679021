"""Sparse files: a safetensors file in which a tensor with many zeros is a bit for each element and what is not zero.

* `NAME` - a tensor as it is, where bits and values would take no less.
* `~bits/NAME` - uint8, a bit for each element in C order, the lowest first: 1 where not all of its bits are zero.
* `~values/NAME` - the elements of those, in the same order and with the tensor's dtype.
* header `__metadata__["elastic-sparse"]` - one JSON text: version, names in the order of the state dict, the shapes of
  what is stored in bits, and a digest of all tensors as they were.

What is zero is told by bits, so that a negative zero and a NaN come back as they were.
"""

import math
from collections.abc import Mapping

import numpy as np

from elastic.errors import FileFormatError
from elastic.metadata.checks import Found
from elastic.metadata.container import MOST_AXES, MOST_ELEMENTS, Container, FilePath, open_container
from elastic.metadata.jsontext import parse, text_of
from elastic.metadata.keys import check_names
from elastic.metadata.tensors import DTYPES, Bits, Tensor, level_digest, raw, tensor_digest
from elastic.metadata.writer import write_plain

KEY = "elastic-sparse"  # of the safetensors metadata
VERSION = 1
TEXT_CAP = 16 << 20  # letters
OVERHEAD = 128  # bytes that a second entry of the header takes


def write_sparse(path: FilePath, tensors: Mapping[str, Tensor], *, overwrite: bool = False) -> None:
    """Write a state dict; tensors that zeros make smaller as bits and values.

    Raises OutputExists, FileFormatError for a name that the format keeps, PathError if it can't be written; `path` is
    then what it was.
    """
    check_names(tensors, str(path))
    parts: dict[str, Tensor] = {}
    shapes: dict[str, list[int]] = {}
    for name, tensor in tensors.items():
        felt = _felt(tensor.bits)
        values = tensor.bits.reshape(-1)[felt]
        if -(-felt.size // 8) + values.nbytes + OVERHEAD < tensor.bits.nbytes:
            shapes[name] = list(tensor.shape)
            parts[_bits_key(name)] = Tensor("U8", np.packbits(felt, bitorder="little"))
            parts[_values_key(name)] = Tensor(tensor.dtype, values)
        else:
            parts[name] = tensor
    digest = level_digest({name: tensor_digest(tensor) for name, tensor in tensors.items()})
    header = {"version": VERSION, "names": list(tensors), "shapes": shapes, "digest": digest}
    write_plain(path, parts, {KEY: text_of(header, f"{path}: the header")}, overwrite=overwrite)


def is_sparse(path: FilePath) -> bool:
    """Return whether a file is a safetensors file that says it is a sparse one; what it says is not checked.

    Raises PathError if there is no such file.
    """
    try:
        return KEY in open_container(path).metadata
    except FileFormatError:
        return False


def read_sparse(path: FilePath) -> dict[str, Tensor]:
    """Return the state dict of a sparse file, bit for bit and in the order that was written.

    Raises PathError if there is no such file, FileFormatError if it is not a whole sparse file of this version.
    """
    container = open_container(path)
    if KEY not in container.metadata:
        raise FileFormatError(f"{path} is no sparse file; write one with `elastic export --to sparse`")
    header = Found(parse(container.metadata[KEY], f"{path}: the header", TEXT_CAP), str(path), "the header")
    if (version := header["version"].count()) != VERSION:
        raise FileFormatError(f"{path} is of version {version} of sparse files, known is {VERSION}; update elastic")
    header.only(("version", "names", "shapes", "digest"))
    names = header["names"].distinct_texts()
    shapes = {name: _shape(header["shapes"][name]) for name in header["shapes"].named()}
    wanted = {key for name in names for key in ((_bits_key(name), _values_key(name)) if name in shapes else (name,))}
    if different := sorted(wanted ^ container.entries.keys()) or sorted(shapes.keys() - set(names)):
        raise FileFormatError(f"{path}: the header and what is stored disagree about {different[0]!r}; it is damaged")
    found = {name: _read(container, name, shapes.get(name)) for name in names}
    if level_digest({name: tensor_digest(each) for name, each in found.items()}) != header["digest"].digest():
        raise FileFormatError(f"{path}: its tensors are not what was saved; fetch the file again")
    return found


def _read(container: Container, name: str, shape: tuple[int, ...] | None) -> Tensor:
    if shape is None:
        return Tensor(container.entries[name].dtype, container.bits(name))
    place, count = f"{container.path}: {name}", math.prod(shape)
    packed, values = container.entries[_bits_key(name)], container.entries[_values_key(name)]
    if packed.dtype != "U8" or packed.shape != (-(-count // 8),) or len(values.shape) != 1:
        raise FileFormatError(f"{place} of shape {list(shape)} has bits {packed.dtype} {list(packed.shape)}; damaged")
    felt = np.unpackbits(container.bits(_bits_key(name)), bitorder="little").view(np.bool_)
    if felt[count:].any() or int(felt.sum()) != values.shape[0]:
        raise FileFormatError(f"{place} has {int(felt.sum())} bits set and {values.shape[0]} values; it is damaged")
    out = np.zeros(count, DTYPES[values.dtype])
    out[felt[:count]] = container.bits(_values_key(name))
    return Tensor(values.dtype, out.reshape(shape))


def _shape(found: Found) -> tuple[int, ...]:
    shape = tuple(each.count() for each in found.items(1, MOST_AXES))
    if math.prod(length or 1 for length in shape) >= MOST_ELEMENTS:
        raise found.refusal("is more than any memory holds")
    return shape


def _felt(bits: Bits) -> Bits:
    """Return which elements have a bit that is set, [elements]."""
    found: Bits = np.asarray(np.frombuffer(raw(bits), np.uint8).reshape(-1, bits.itemsize).any(1))
    return found


def _bits_key(name: str) -> str:
    return f"~bits/{name}"


def _values_key(name: str) -> str:
    return f"~values/{name}"
