"""Sparse storage: a state dict in a file that is smaller by its zeros, and back, bit for bit."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from elastic.metadata.sparse import read_sparse, write_sparse
from elastic.tensors import restored, stored


def save_sparse(path: str | Path, state: Mapping[str, Tensor], *, overwrite: bool = False) -> None:
    """Write a state dict; tensors with enough zeros as a bit for each element and the values that are not zero.

    Raises OutputExists, and PathError if it can't be written; `path` is then what it was.
    """
    write_sparse(path, {name: stored(tensor) for name, tensor in state.items()}, overwrite=overwrite)


def load_sparse(path: str | Path) -> dict[str, Tensor]:
    """Return the state dict of a sparse file, with all of its zeros; digests are compared.

    Raises PathError if there is no such file, FileFormatError if it is no sparse file, or damaged.
    """
    return {name: restored(tensor) for name, tensor in read_sparse(path).items()}
