"""Shells: which elements of a tensor a level adds, as at most one block per elastic axis.

Pure index arithmetic, shared by the file and by cutting in memory. Shell K of a tensor is L-shaped: the elements whose
largest axis level is exactly K. Block I holds the positions that are new (K) along the I-th elastic axis, older than K
along the elastic axes before it, and up to K along those after it; so the blocks are disjoint and cover the shell.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Levels = npt.NDArray[np.uint8]
Positions = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Block:
    """One block of a shell: its ordinal among the elastic axes, and its positions along each of them.

    `source` counts in the largest level's tensor, `target` in the tensor of the block's own level.
    """

    number: int
    source: Mapping[int, Positions]
    target: Mapping[int, Positions]


def kept(levels: Levels, level: int) -> Positions:
    """Return the positions of one axis that exist at a level, ascending."""
    return np.flatnonzero(levels <= level)


def blocks(axes: Mapping[int, Levels], level: int) -> list[Block]:
    """Return the blocks that a level adds, without the empty ones; `axes` gives each elastic axis its levels."""
    ordered = sorted(axes)
    found = []
    for number in range(len(ordered)):
        inside = {
            axis: levels == level if i == number else levels < level if i < number else levels <= level
            for i, axis in enumerate(ordered)
            for levels in [axes[axis]]
        }
        source = {axis: np.flatnonzero(chosen) for axis, chosen in inside.items()}
        if all(len(positions) for positions in source.values()):
            target = {axis: np.flatnonzero(chosen[axes[axis] <= level]) for axis, chosen in inside.items()}
            found.append(Block(number, source, target))
    return found


def core_target(axes: Mapping[int, Levels], level: int) -> dict[int, Positions]:
    """Return where the tensor of the level below lies within the tensor of a level, for each elastic axis."""
    return {axis: np.flatnonzero(axes[axis][axes[axis] <= level] < level) for axis in sorted(axes)}


def take(array: npt.NDArray[Any], positions: Mapping[int, Positions]) -> npt.NDArray[Any]:
    """Return the elements at ascending positions of some axes; `array` itself where that is all of them."""
    # One axis after the other is three times as fast as one indexed copy; the axis that loses most goes first.
    for axis in sorted(positions, key=lambda axis: len(positions[axis]) / max(1, array.shape[axis])):
        if len(positions[axis]) < array.shape[axis]:
            array = array.take(positions[axis], axis)
    return array


def put(out: npt.NDArray[Any], positions: Mapping[int, Positions], block: npt.NDArray[Any]) -> None:
    """Change the elements of `out` at ascending positions of some axes to those of a block; the inverse of `take`."""
    last = max(positions, default=-1)
    mesh = [positions[axis] if axis in positions else np.arange(out.shape[axis]) for axis in range(last + 1)]
    out[np.ix_(*mesh)] = block
