"""Cells: numbers for the channels of every side of every node of a graph, and which of them are the same.

A union of pairs, solved once at the end as connected components: a component is a unit.
"""

from typing import Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from elastic.plan import NEVER, IntArray

Side = tuple[Any, str]  # a node of the graph, and "in" or "out"


class Cells:
    """A number for each channel of each side that was met, the pairs that are one, and what is frozen and why."""

    def __init__(self) -> None:
        self.numbers: dict[Side, IntArray] = {}  # by side: the cell of each channel, NEVER where none was met
        self.count = 0
        self.pairs: list[tuple[IntArray, IntArray]] = []
        self.frozen: list[tuple[IntArray, str]] = []

    def of(self, side: Side, channels: IntArray) -> IntArray:
        """Return the cells of channels of a side, numbering those that are new."""
        known = self.numbers.get(side, np.empty(0, np.int64))
        if channels.size and int(channels.max()) >= len(known):
            known = np.append(known, np.full(int(channels.max()) + 1 - len(known), NEVER))
        fresh = np.unique(channels[known[channels] == NEVER])
        known[fresh] = self.count + np.arange(len(fresh))
        self.count += len(fresh)
        self.numbers[side] = known
        return known[channels]

    def unite(self, some: IntArray, others: IntArray) -> None:
        """Let each of `some` be the same as its fellow in `others`."""
        self.pairs.append((some, others))

    def couple(self, *cells: IntArray) -> None:
        """Let cells leave only together."""
        joined = np.concatenate(cells)
        self.unite(joined[:1].repeat(len(joined)), joined)

    def freeze(self, cells: IntArray, reason: str) -> None:
        """Let cells never leave, nor what is the same as one of them."""
        self.frozen.append((cells, reason))

    def components(self) -> tuple[IntArray, dict[int, str]]:
        """Return the unit of every cell, and why some of these units are frozen: the first reason that was given."""
        if self.count == 0:
            return np.empty(0, np.int64), {}
        none = np.empty(0, np.int64)
        a, b = (np.concatenate(side) for side in zip((none, none), *self.pairs, strict=True))
        matrix = coo_array((np.ones(len(a), np.int8), (a, b)), shape=(self.count, self.count))
        unit = connected_components(matrix, directed=False)[1].astype(np.int64)
        return unit, {int(u): reason for cells, reason in reversed(self.frozen) for u in np.unique(unit[cells])}
