"""Tensors as their bits, and digests of them.

numpy lacks BF16 and the eight-bit floats, so a tensor is safetensors' name of its dtype beside its bits in an array of
the same width. Nothing here computes with values: files cut, move and compare bits.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from elastic.errors import FileFormatError

Bits = npt.NDArray[Any]

# Ascending in safetensors' own order, by which a file is sorted backwards. Sub-byte dtypes (F4, F6) are not among
# them: a position of an axis would not be a whole number of bytes.
DTYPES: Mapping[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "U8": np.dtype(np.uint8),
    "I8": np.dtype(np.int8),
    "F8_E5M2": np.dtype(np.uint8),
    "F8_E4M3": np.dtype(np.uint8),
    "F8_E8M0": np.dtype(np.uint8),
    "F8_E4M3FNUZ": np.dtype(np.uint8),
    "F8_E5M2FNUZ": np.dtype(np.uint8),
    "I16": np.dtype("<i2"),
    "U16": np.dtype("<u2"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
    "I32": np.dtype("<i4"),
    "U32": np.dtype("<u4"),
    "F32": np.dtype("<f4"),
    "C64": np.dtype("<c8"),
    "F64": np.dtype("<f8"),
    "I64": np.dtype("<i8"),
    "U64": np.dtype("<u8"),
}


@dataclass(frozen=True, eq=False)
class Tensor:
    """A dtype by safetensors' name, and the bits in an array of the type that `DTYPES` gives it."""

    dtype: str
    bits: Bits

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise FileFormatError(f"dtype {self.dtype!r} can't be stored; known: {', '.join(DTYPES)}")
        if self.bits.dtype != DTYPES[self.dtype]:
            raise FileFormatError(f"bits of {self.dtype} are {DTYPES[self.dtype]}, not {self.bits.dtype}; use .view()")

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        return self.bits.shape


def raw(bits: Bits) -> memoryview:
    """Return the bytes of an array in C order, a view where the array has that order; `DTYPES` are little-endian."""
    return np.ascontiguousarray(bits).reshape(-1).view(np.uint8).data


def tensor_digest(tensor: Tensor) -> str:
    """Return the hex SHA-256 of dtype, shape and little-endian bytes."""
    digest = hashlib.sha256(f"{tensor.dtype} {list(tensor.shape)}\n".encode())
    digest.update(raw(tensor.bits))
    return digest.hexdigest()


def level_digest(digests: Mapping[str, str]) -> str:
    """Return the hex SHA-256 of a level, given the digest of each of its tensors, aliases under each of their names."""
    lines = (f"{name} {digests[name]}\n" for name in sorted(digests))
    return hashlib.sha256("".join(lines).encode()).hexdigest()
