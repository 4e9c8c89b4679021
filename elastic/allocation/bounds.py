"""Bounds: the widths that each group may take."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from elastic.errors import TargetError
from elastic.plan import Group, IntArray, Plan


@dataclass(frozen=True)
class Bounds:
    """What every group keeps: at least so many channels (or so large a share), and a multiple of `round_to`."""

    keep_at_least: float = 1  # channels; below 1, a share of the group
    round_to: int = 1  # channels

    def __post_init__(self) -> None:
        if not 0 < self.keep_at_least < np.inf:
            raise TargetError(f"--keep-at-least {self.keep_at_least:g} is no width; give channels, or a share")
        if self.round_to < 1:
            raise TargetError(f"--round-to {self.round_to} is no multiple; give 1 or more")

    def kept(self, group: Group, wanted: int) -> int:
        """Return how many units of a group stay if `wanted` would like to: never fewer."""
        step = self._step(group)
        return int(min(len(group.units), -(-max(wanted, self._least(group)) // step) * step))

    def room(self, plan: Plan, fixed: Mapping[int, int] | None = None) -> "Room":
        """Return the widths that the groups may take; `fixed` holds the one width of some, by the group's number."""
        groups, fixed = plan.groups, fixed or {}
        most = [fixed.get(number, len(group.units)) for number, group in enumerate(groups)]
        least = [fixed.get(number, self.kept(group, 0)) for number, group in enumerate(groups)]
        step = [self._step(group) for group in groups]
        return Room(np.array(least, np.int64), np.array(most, np.int64), np.array(step, np.int64))

    def _least(self, group: Group) -> int:
        whole, per_unit = len(group.units), group.positions_per_unit
        least = self.keep_at_least * whole if self.keep_at_least < 1 else self.keep_at_least / per_unit
        return max(1, int(np.ceil(least - 1e-9)))

    def _step(self, group: Group) -> int:
        return int(self.round_to // np.gcd(self.round_to, group.positions_per_unit))  # in units


@dataclass(frozen=True, eq=False)
class Room:
    """The widths that groups may take, in units: multiples of `step` from `least` to `most`, and `most` itself."""

    least: IntArray  # [groups]
    most: IntArray  # [groups]
    step: IntArray  # [groups]

    def widths(self, wanted: IntArray) -> IntArray:
        """Return how many units of each group stay if `wanted` would like to: never fewer, but for `most`."""
        up = -(-np.maximum(wanted, self.least) // self.step) * self.step
        found: IntArray = np.minimum(self.most, up)
        return found

    def within(self, most: IntArray) -> "Room":
        """Return the same room below some widths that it allows."""
        return Room(np.minimum(self.least, most), most, self.step)
