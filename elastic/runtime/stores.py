"""Stores: each tensor once, in the order in which levels are prefixes; a level's tensor is a view of it.

A tensor that levels have alone (norms, what was tuned) is stored once for each of them; the file says where a whole
value begins anew. What a level of few bits has alone is not stored here: `packed.py`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from elastic.cutting import put
from elastic.metadata import Header, blocks, read_axes, read_header, read_level, read_shells, read_starts, read_units
from elastic.metadata import Tensor as Stored
from elastic.metadata.schema import names_at
from elastic.plan import IntArray, LevelArray
from elastic.runtime.ordering import Orders, storage_order
from elastic.tensors import restored

Key = tuple[str, int]  # a tensor's name, and the level at which its value begins
Kept = dict[int, IntArray]  # by axis


@dataclass(frozen=True, eq=False)
class Layout:
    """Where things lie in a file's tensors; `order` is that of the storage."""

    path: Path
    header: Header
    axes: Mapping[str, Mapping[int, LevelArray]]
    order: Orders

    @cached_property
    def starts(self) -> list[dict[str, int]]:
        """For each level the level at which the value of each of its tensors begins, of all that are stored here."""
        return [
            {name: start for name, start in of_level.items() if name not in self.alone.get(level, ())}
            for level, of_level in enumerate(self._wholes)
        ]

    @cached_property
    def alone(self) -> dict[int, set[str]]:
        """For each level of few bits the names of what no other level has."""
        shared = Counter((name, start) for of_level in self._wholes for name, start in of_level.items())
        return {
            level: {key[0] for key in self._wholes[level].items() if shared[key] == 1}
            for level, of in enumerate(self.header.levels)
            if of.own or of.absent
        }

    @cached_property
    def names(self) -> list[str]:
        """The names of what a network of floats has, aliases left out."""
        return [name for name in self.header.names if name not in self.header.aliases]

    @cached_property
    def _wholes(self) -> list[dict[str, int]]:
        wholes = read_starts(self.path)
        return [
            {
                name: max(start for start in wholes[name] if start <= level)
                for name in names_at(self.header, level).values()
            }
            for level in range(len(self.header.levels))
        ]

    def end(self, key: Key, top: int) -> int:
        """Return the last level up to `top` that has its tensor in this store."""
        name, start = key
        return max(level for level in range(start, top + 1) if self.starts[level].get(name) == start)

    def places(self, name: str, level: int, end: int) -> Kept:
        """Return which places a level has, of each elastic axis of the store of a tensor that ends at level `end`."""
        found = {}
        for axis, levels in self.axes.get(name, {}).items():
            ordered = levels[self.order[name][axis]]
            found[axis] = np.flatnonzero(ordered[ordered <= end] <= level)
        return found

    def ranks(self, name: str, level: int) -> Kept:
        """Return for each place of a level's tensor in the storage where it is in the file's order."""
        found = {}
        for axis, levels in self.axes.get(name, {}).items():
            order = self.order[name][axis]
            found[axis] = np.argsort(np.argsort(order[levels[order] <= level]))
        return found


def shape_at(layout: Layout, name: str, level: int, whole: Sequence[int]) -> list[int]:
    """Return the shape that a level's tensor has, of that of the largest level's."""
    shape = list(whole)
    for axis, levels in layout.axes.get(name, {}).items():
        shape[axis] = int((levels <= level).sum())
    return shape


def layout_of(path: Path) -> Layout:
    """Return the layout of a file."""
    axes = read_axes(path)
    units = {name: {a: u.astype(np.int64) for a, u in of.items()} for name, of in read_units(path).items()}
    return Layout(path, read_header(path), axes, storage_order(axes, units))


@dataclass(eq=False)
class Stores:
    """The tensors of all levels up to `top`, in the order of the storage."""

    layout: Layout
    top: int
    tensors: dict[Key, Tensor] = field(default_factory=dict)

    def key(self, name: str, level: int) -> Key:
        """Return the store in which a level has a tensor."""
        return name, self.layout.starts[level][name]

    def tensor(self, name: str, level: int) -> Tensor:
        """Return a level's tensor: a view where its places are a prefix along every axis, a copy where not."""
        key = self.key(name, level)
        found = self.tensors[key]
        for axis, places in self.layout.places(name, level, self.layout.end(key, self.top)).items():
            if _is_prefix(places):
                found = found.narrow(axis, 0, len(places))
            else:
                found = found.index_select(axis, torch.from_numpy(places).to(found.device))
        return found

    def is_view(self, name: str, level: int) -> bool:
        """Return whether a level's tensor is a view."""
        end = self.layout.end(self.key(name, level), self.top)
        return all(_is_prefix(places) for places in self.layout.places(name, level, end).values())

    def put(self, name: str, level: int, value: Tensor) -> None:
        """Change a level's part of the storage to a value."""
        key = self.key(name, level)
        places = self.layout.places(name, level, self.layout.end(key, self.top))
        put(self.tensors[key], places, value)

    def places_in_order(self, level: int) -> dict[str, dict[int, Tensor]]:
        """Return for each tensor of a level which places its storage has it at, along axes, in the order of the file.

        Axes that it has from end to end, in that order, are left out.
        """
        found: dict[str, dict[int, Tensor]] = {}
        for name, start in self.layout.starts[level].items():
            stored, ranks = self.tensors[name, start], self.layout.ranks(name, level)
            places = self.layout.places(name, level, self.layout.end((name, start), self.top))
            picked = {axis: of_axis[np.argsort(ranks[axis])] for axis, of_axis in places.items()}
            found[name] = {
                axis: torch.from_numpy(of_axis).to(stored.device)
                for axis, of_axis in picked.items()
                if not np.array_equal(of_axis, np.arange(stored.shape[axis]))
            }
        return found

    def in_order(self, name: str, level: int, value: Tensor) -> Tensor:
        """Return a level's tensor, given in the order of the storage, in that of the file."""
        return _reordered(value, {axis: np.argsort(ranks) for axis, ranks in self.layout.ranks(name, level).items()})

    def in_storage(self, name: str, level: int, value: Tensor) -> Tensor:
        """Return a level's tensor, given in the order of the file, in that of the storage."""
        return _reordered(value, self.layout.ranks(name, level))

    def read(self, top: int, like: Mapping[str, Tensor], *, at: int | None = None) -> None:
        """Change what is stored to hold all levels up to `top`; of what is there only what is new is read.

        Devices and dtypes are those of `like`. If that is level `at` in the order of the file, it is not read again.
        """
        before, self.top, path = self.top, top, self.layout.path
        keys = {key for level in range(top + 1) for key in self.layout.starts[level].items()}
        ends = {key: self.layout.end(key, top) for key in keys}
        for end in sorted(set(ends.values())):
            fresh = [name for name, start in keys if ends[name, start] == end and (name, start) not in self.tensors]
            for name in fresh if end == at else ():
                self.tensors[self.key(name, end)] = self.in_storage(name, end, like[name].detach()).contiguous()
            for name, value in read_level(path, end, fresh).items() if end != at else ():
                if name in fresh:
                    ordered = self.in_storage(name, end, restored(value).to(like[name].device, like[name].dtype))
                    self.tensors[self.key(name, end)] = ordered.contiguous()
        grown = sorted(name for name, start in keys if start <= before < ends[name, start])
        shells = read_shells(path, before, top, grown)
        for name in grown:
            self._extend(name, before, ends[self.key(name, before)], shells[name])

    def _extend(self, name: str, before: int, end: int, shells: Mapping[int, Mapping[int, Stored]]) -> None:
        key, axes = self.key(name, before), self.layout.axes.get(name, {})
        if not axes:
            return
        old = self.tensors[key]
        place = {}  # of each original position
        shape = list(old.shape)
        for axis, levels in axes.items():
            order = self.layout.order[name][axis]
            order = order[levels[order] <= end]
            place[axis] = np.full(len(levels), -1)
            place[axis][order] = np.arange(len(order))
            shape[axis] = len(order)
        new = old.new_empty(shape)
        put(new, self.layout.places(name, before, end), old)
        for level, parts in shells.items():
            for block in blocks(axes, level):
                places = {axis: place[axis][positions] for axis, positions in block.source.items()}
                value = restored(parts[block.number]).to(new.device, new.dtype)
                put(new, places, value)
        self.tensors[key] = new


def _is_prefix(places: IntArray) -> bool:
    return len(places) == 0 or int(places[-1]) == len(places) - 1


def _reordered(value: Tensor, orders: Kept) -> Tensor:
    for axis, order in orders.items():
        if not np.array_equal(order, np.arange(len(order))):
            value = value.index_select(axis, torch.from_numpy(order).to(value.device))
    return value
