"""Cells: numbers for the channels of every side of every node of a graph, and which of them are the same.

A component of cells is a unit.
"""

from typing import Any

import numpy as np

from elastic.plan import NEVER, IntArray
from elastic.tracing.partition import Partition

Side = tuple[Any, str]  # a node of the graph, and "in" or "out"


class Cells:
    """A number for each channel of each side that was met, the pairs that are one, and what is frozen and why."""

    def __init__(self) -> None:
        self.numbers: dict[Side, IntArray] = {}  # by side: the cell of each channel, NEVER where none was met
        self.partition = Partition()
        self.frozen: list[tuple[IntArray, str]] = []

    def of(self, side: Side, channels: IntArray) -> IntArray:
        """Return the cells of channels of a side, numbering those that are new."""
        known = self.numbers.get(side, np.empty(0, np.int64))
        if channels.size and int(channels.max()) >= len(known):
            known = np.append(known, np.full(int(channels.max()) + 1 - len(known), NEVER))
        fresh = np.unique(channels[known[channels] == NEVER])
        known[fresh] = self.partition.new(len(fresh))
        self.numbers[side] = known
        return known[channels]

    def unite(self, some: IntArray, others: IntArray) -> None:
        """Let each of `some` be the same as its fellow in `others`."""
        self.partition.unite(some, others)

    def couple(self, *cells: IntArray) -> None:
        """Let cells leave only together."""
        self.partition.couple(*cells)

    def freeze(self, cells: IntArray, reason: str) -> None:
        """Let cells never leave, nor what is the same as one of them."""
        self.frozen.append((cells, reason))

    def components(self) -> tuple[IntArray, dict[int, str]]:
        """Return the unit of every cell, and why some of these units are frozen: the first reason that was given."""
        unit = self.partition.components()
        return unit, {int(u): reason for cells, reason in reversed(self.frozen) for u in np.unique(unit[cells])}
