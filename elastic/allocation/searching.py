"""Searching: bisection on cost along the order in which units leave, then whatever still fits comes back.

Cost falls with every unit that leaves, so the turning point is found by bisection; then the units that left last come
back, a step of their group at a time, wherever there is still room. Within a group units stay in the order of leaving,
so that a network is no more than a width for each group.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from elastic.allocation.bounds import Room
from elastic.allocation.ordering import depth_within_groups
from elastic.allocation.sums import Prefixes, Sums
from elastic.costs import Cost, CostModel
from elastic.plan import BoolArray, IntArray, LevelArray
from elastic.targets import Target


@dataclass(frozen=True, eq=False)
class Search:
    """Networks that one order of leaving gives; widths are in units, [groups]."""

    costs: CostModel
    sums: Sums
    order: IntArray  # [units], first to leave first
    room: Room

    def choose(self, target: Target, most: IntArray) -> IntArray:
        """Return widths of at most `most` for which the target holds and no step more fits."""
        room = self.room.within(most)
        low, high = 0, len(self.order)  # how many leave: the fewest for which the target holds
        while low < high:
            middle = (low + high) // 2
            if self.holds(target, self._widths(room, middle)):
                high = middle
            else:
                low = middle + 1
        return self.fill(target, room, self._widths(room, low))

    def holds(self, target: Target, widths: IntArray, least_header: int = 0) -> bool:
        """Return whether the network of these widths keeps the target; its file's header has at least so many bytes."""
        lengths = self._prefixes.lengths(widths)
        for limit in target.limits:
            most, total = limit.of(self.costs.dense), self.sums.total(limit.quantity, lengths)
            if limit.quantity == "size":
                total += least_header
                if total <= most < total + self._whole_header - least_header:
                    total = self.cost(widths).bytes  # the header decides, and takes long to write
            if total > most:
                return False
        return True

    def cost(self, widths: IntArray) -> Cost:
        """Return the cost of the network of these widths."""
        return self.costs.cost(self.stays(widths))

    def macs(self, widths: IntArray) -> int:
        """Return the multiply-accumulates of the network of these widths."""
        return self.total("macs", widths)

    def total(self, quantity: str, widths: IntArray) -> int:
        """Return the cost of the network of these widths; the size without the file's header."""
        return self.sums.total(quantity, self._prefixes.lengths(widths))

    def moments(self, quantity: str, widths: IntArray) -> IntArray:
        """Return the numbers of which the greatest is the cost: of memory one for each output, otherwise one."""
        return self.sums.moments(quantity, self._prefixes.lengths(widths))

    def stays(self, widths: IntArray) -> BoolArray:
        """Return which units are in the network of these widths, [units]."""
        stays: BoolArray = self.depth < widths[self.costs.plan.group_of_unit]
        return stays

    def levels(self, smallest_first: list[IntArray]) -> LevelArray:
        """Return the level of every unit, given the widths of every level but the whole."""
        levels = np.full(self.costs.plan.units, len(smallest_first), np.uint8)
        for level in reversed(range(len(smallest_first))):
            levels[self.stays(smallest_first[level])] = level
        return levels

    @cached_property
    def depth(self) -> IntArray:
        """How many units of its group stay longer than each, [units]."""
        return depth_within_groups(self.costs.plan, self.order)

    @cached_property
    def _prefixes(self) -> Prefixes:
        return Prefixes(self.sums, self.depth)

    def _header(self, widths: IntArray) -> int:
        """Return the bytes of the header of a network's file: the larger the network, the longer or the same."""
        return self.cost(widths).bytes - self.sums.total("size", self._prefixes.lengths(widths))

    @cached_property
    def _whole_header(self) -> int:
        return self._header(np.array([len(group.units) for group in self.costs.plan.groups]))

    def _widths(self, room: Room, leaving: int) -> IntArray:
        """Return the widths when the first `leaving` would like to go and the bounds are kept."""
        groups = self.costs.plan.group_of_unit[self.order[leaving:]]
        return room.widths(np.bincount(groups, minlength=len(room.most)))

    def fill(self, target: Target, room: Room, widths: IntArray) -> IntArray:
        """Return widths with steps added, of the units that left last first, wherever the target still holds."""
        absent = self.order[~self.stays(widths)[self.order]][::-1]
        groups = self.costs.plan.group_of_unit[absent]
        is_open = widths < room.most
        header = self._header(widths) if any(limit.quantity == "size" for limit in target.limits) else 0
        for group, depth in zip(groups.tolist(), self.depth[absent].tolist(), strict=True):
            if not is_open[group] or depth < widths[group]:
                continue
            more = widths.copy()
            more[group] = room.widths(widths + 1)[group]
            if self.holds(target, more, header):
                widths = more
            is_open[group] = widths[group] == more[group] and more[group] < room.most[group]
            if not is_open.any():
                break
        return widths
