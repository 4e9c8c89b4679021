"""Partition: which cells are one. A cell is a number for one position of one axis; a component of cells is a unit.

Union by arrays: whole axes are united at once, so the cost is a few numpy operations for each operation of a network
and not for each channel.
"""

from collections.abc import Callable

import numpy as np

from elastic.plan import NEVER, IntArray

UNKNOWN = -2  # the origin of a cell that belongs to no parameter

Clash = Callable[[IntArray, IntArray], None]  # told the origins of cells that should have been one


class Partition:
    """Cells, those that are one, and where each came from: a number that may not differ within a component.

    Origins are how a network that was cut is checked: its cells come from known units, and whatever would make one of
    two units is a clash, which is reported and not done.
    """

    def __init__(self, clash: Clash | None = None) -> None:
        self.count = 0
        self.parent = np.empty(1 << 12, np.int64)
        self.origin = np.empty(1 << 12, np.int64)
        self.held = np.empty(1 << 12, np.bool_)  # by representative: never leaves
        self.clash = clash

    def new(self, count: int, origin: IntArray | None = None) -> IntArray:
        """Return cells that are new, of the given origin, ascending."""
        first, self.count = self.count, self.count + count
        if self.count > len(self.parent):
            room = max(self.count, 2 * len(self.parent))
            self.parent, self.origin = np.resize(self.parent, room), np.resize(self.origin, room)
            self.held = np.resize(self.held, room)
        cells = np.arange(first, self.count, dtype=np.int64)
        self.parent[first : self.count] = cells
        self.held[first : self.count] = False
        self.origin[first : self.count] = UNKNOWN if origin is None else origin
        return cells

    def find(self, cells: IntArray) -> IntArray:
        """Return the representative of each cell: its component's smallest."""
        first = found = self.parent[cells]
        while not (found == (above := self.parent[found])).all():
            found = above
        if found is not first:
            self.parent[cells] = found
        return found

    def unite(self, some: IntArray, others: IntArray) -> None:
        """Let each of `some` be the same as its fellow in `others`."""
        if some is others:
            return
        a, b = self.find(some), self.find(others)
        if (a == b).all():
            return
        if self.clash is None:
            self._join(a, b)
        else:
            self._join_known(a, b, self.clash)

    def couple(self, *cells: IntArray) -> None:
        """Let cells leave only together."""
        joined = np.concatenate(cells)
        if len(joined) > 1:
            self.unite(joined[:-1], joined[1:])

    def hold(self, cells: IntArray) -> None:
        """Let cells never leave; where origins are known, a unit among them is a clash."""
        if not len(cells):
            return
        roots = self.find(cells)
        self.held[roots] = True
        if self.clash is None:
            return
        if (units := self.origin[roots] > NEVER).any():
            self.clash(self.origin[roots][units], np.full(int(units.sum()), NEVER))
        self.origin[roots[~units]] = NEVER

    def is_held(self, cells: IntArray) -> bool:
        """Return whether none of the cells can leave."""
        return bool(self.held[self.find(cells)].all())

    def components(self) -> IntArray:
        """Return the representative of every cell, [cells]."""
        return self.find(np.arange(self.count, dtype=np.int64))

    def _join(self, a: IntArray, b: IntArray) -> None:
        some, held = a, self.held[a] | self.held[b]
        while len(a):
            np.minimum.at(self.parent, np.maximum(a, b), np.minimum(a, b))
            a, b = self.find(a), self.find(b)
            differ = a != b
            a, b = a[differ], b[differ]
        if held.any():
            self.held[self.find(some[held])] = True

    def _join_known(self, a: IntArray, b: IntArray, clash: Clash) -> None:
        origins = self.origin[a], self.origin[b]
        wrong = (origins[0] != origins[1]) & (origins[0] != UNKNOWN) & (origins[1] != UNKNOWN)
        if wrong.any():
            clash(origins[0][wrong], origins[1][wrong])
        a, b, known = a[~wrong], b[~wrong], np.maximum(*origins)[~wrong]
        self._join(a, b)
        roots = self.find(a)
        np.maximum.at(self.origin, roots, known)
        if (late := (known > UNKNOWN) & (self.origin[roots] != known)).any():  # two met through a third
            clash(known[late], self.origin[roots][late])
