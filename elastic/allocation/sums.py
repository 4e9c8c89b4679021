"""Costs in arrays: each quantity is a sum of products of lengths of axes.

`CostModel` says what a network costs; here the same sums are laid out so that one evaluation takes microseconds, and
so that their derivative says what one more unit costs. Parameters and MACs are exact. The size lacks the file's
header, whose length is no product. Memory is the greatest of several such sums (`Memory`), and seconds are what a
latency table tells (`Timing`).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Protocol

import numpy as np

from elastic.allocation.memory import Memory
from elastic.allocation.products import FloatArray, Product, Products
from elastic.costs import CostModel, bytes_of, no_forward_pass, no_latency_table
from elastic.plan import NEVER, BoolArray, IntArray, Plan
from elastic.targets import LATENCY, MEMORY


class Timed(Protocol):
    """What tells the seconds of one plan's networks by the lengths of their axes, [axes + 1]."""

    def seconds(self, lengths: IntArray) -> FloatArray:
        """Return the seconds of networks with axes of these lengths, [..., axes + 1] -> [...]."""

    def slopes(self, lengths: IntArray) -> FloatArray:
        """Return the derivative by the length of each axis, [axes + 1], as if there were no steps."""

    def steps(self) -> IntArray:
        """Return the multiple of channels that is fast on each axis, [axes + 1]; 1 where any is."""


class Timing(Protocol):
    """A latency table: whatever can time the networks of a plan."""

    def on(self, plan: Plan, sums: "Sums | None" = None) -> Timed:
        """Return what tells seconds by the lengths of a plan's axes. Raises PlanMismatch for another network's."""


class Sums:
    """The sums of one plan, and where each unit is on its axes. Axes that are labelled alike are one.

    With a latency table, `latency` is a quantity like the others, in nanoseconds. So is `memory`, in bytes, where the
    plan holds the forward pass.
    """

    def __init__(self, plan: Plan, latency_table: Timing | None = None) -> None:
        self.plan = plan
        self._known: dict[bytes, int] = {}
        self._labels: list[IntArray] = []
        numbers = {home: self._number(labels) for home, labels in plan.axes.items()}
        self.numbers = numbers  # of the axes where something can leave, by tensor and axis
        of_weight = {name: [numbers[name, axis] for axis in axes] for name, axes in plan.axes_of_tensor.items()}
        along = [[self._number(np.array(labels, np.int64)) for labels in o.along] for o in plan.operations]
        made = [[self._number(labels) for labels in output.units.values()] for output in plan.outputs]
        elements: dict[str, Product] = {}  # of each tensor, as a product
        for name, spec in plan.tensors.items():
            constant = math.prod(n for axis, n in enumerate(spec.shape) if (name, axis) not in numbers)
            elements[name] = (constant, of_weight.get(name, []))
        stored = [(name, plan.tensors[name]) for name in (*plan.tensors, *plan.aliases.values())]
        self._products: dict[str, Products] = {
            "params": self._table(elements[name] for name, spec in plan.tensors.items() if spec.is_parameter),
            "size": self._table((bytes_of(spec.dtype) * elements[name][0], elements[name][1]) for name, spec in stored),
            "macs": self._table(
                (o.macs * elements[o.weight][0], elements[o.weight][1] + own) if o.weight else (o.macs, own)
                for o, own in zip(plan.operations, along, strict=True)
            ),
        }
        self.memory = self._memory(elements, made) if plan.outputs else None
        self.timed = None if latency_table is None else latency_table.on(plan, self)

    def total(self, quantity: str, lengths: IntArray) -> int:
        """Return the cost for axes of these lengths; the size without the file's header.

        Raises TargetError for a latency without a table, and for memory without a forward pass.
        """
        return int(self.moments(quantity, lengths).max())

    def moments(self, quantity: str, lengths: IntArray) -> IntArray:
        """Return the numbers of which the greatest is the cost: of memory one for each output, otherwise one."""
        if quantity == LATENCY:
            return np.array([round(1e9 * float(self._with_latency.seconds(lengths)))], np.int64)
        if quantity == MEMORY:
            return self._with_memory.moments(lengths)
        return np.array([self._products[quantity].total(lengths)], np.int64)

    def products(self, quantity: str) -> Products:
        """Return the sum that is the cost; the size without the file's header."""
        return self._products[quantity]

    def savings(self, quantity: str, stays: BoolArray) -> FloatArray:
        """Return what one more unit costs beside those that stay, [units], to first order."""
        lengths = self.lengths(stays)
        if quantity == LATENCY:
            slopes = 1e9 * self._with_latency.slopes(lengths)
        elif quantity == MEMORY:
            slopes = self._with_memory.slopes(lengths)
        else:
            slopes = self._products[quantity].slopes(lengths)
        found: FloatArray = np.bincount(self.units, slopes[self.axes], self.plan.units).astype(np.float64)
        return found

    def pace(self, quantity: str) -> float:
        """Return how much units may save before savings have to be found anew: of memory a part of the peak."""
        if quantity != MEMORY:
            return np.inf
        return self._with_memory.near(self.lengths(np.ones(self.plan.units, np.bool_)))

    def nanoseconds(self, stays: BoolArray) -> int:
        """Return the time of the network of the units where `stays` [units] is true. Raises as `total`."""
        return self.total(LATENCY, self.lengths(stays))

    def costs(self) -> CostModel:
        """Return the costs of the plan, time among them where there is a table."""
        return CostModel(self.plan, None if self.timed is None else self.nanoseconds)

    @property
    def _with_latency(self) -> Timed:
        if self.timed is None:
            raise no_latency_table()
        return self.timed

    @property
    def _with_memory(self) -> Memory:
        if self.memory is None:
            raise no_forward_pass()
        return self.memory

    def lengths(self, stays: BoolArray) -> IntArray:
        """Return the length of each axis in the network of the units where `stays` [units] is true, [axes + 1]."""
        return self.fixed + np.bincount(self.axes[stays[self.units]], minlength=len(self.fixed))

    @cached_property
    def fixed(self) -> IntArray:
        """How many positions of each axis never leave; the axis after the last has 1, [axes + 1]."""
        return np.array([*(int((labels == NEVER).sum()) for labels in self._labels), 1], np.int64)

    @cached_property
    def units(self) -> IntArray:
        """The unit of each position that can leave, of all axes one after the other."""
        return np.concatenate([labels[labels != NEVER] for labels in self._labels])

    @cached_property
    def axes(self) -> IntArray:
        """The number of the axis of each position that can leave."""
        return np.repeat(np.arange(len(self._labels)), [int((labels != NEVER).sum()) for labels in self._labels])

    def _number(self, labels: IntArray) -> int:
        number = self._known.setdefault(labels.tobytes(), len(self._known))
        if number == len(self._labels):
            self._labels.append(labels)
        return number

    def _memory(self, elements: Mapping[str, Product], made: Sequence[list[int]]) -> Memory:
        tensors, outputs = self.plan.tensors.items(), self.plan.outputs
        state = self._table((bytes_of(spec.dtype) * elements[name][0], elements[name][1]) for name, spec in tensors)
        fixed = [math.prod(n for axis, n in enumerate(o.shape) if axis not in o.units) for o in outputs]
        sizes = [(bytes_of(o.dtype) * n, axes) for o, n, axes in zip(outputs, fixed, made, strict=True)]
        return Memory(state, self._table(sizes), np.array([output.until for output in outputs], np.int64))

    def _table(self, products: Iterable[Product]) -> Products:
        rows = list(products)
        factors = np.full((len(rows), max((len(axes) for _, axes in rows), default=0)), len(self._known), np.int64)
        for row, (_, axes) in enumerate(rows):
            factors[row, : len(axes)] = axes
        return Products(np.array([coefficient for coefficient, _ in rows], np.int64), factors)


class Prefixes:
    """Lengths of axes when each group keeps its first units in some order: a look-up for each group on each axis."""

    def __init__(self, sums: Sums, depth: IntArray) -> None:
        groups = sums.plan.groups
        of_unit = sums.plan.group_of_unit[sums.units]
        pairs = sums.axes * len(groups) + of_unit
        order = np.lexsort((depth[sums.units], pairs))
        known, first = np.unique(pairs[order], return_index=True)
        self.axis, self.group = np.divmod(known, len(groups))
        # One run for each pair: how many positions the first 0, 1, ... units of the group have on the axis.
        sizes = np.array([len(group.units) + 1 for group in groups])[self.group]
        self.start = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
        run = np.repeat(np.arange(len(known)), np.diff([*first, len(order)]))
        gained = np.bincount(self.start[run] + depth[sums.units[order]] + 1, minlength=int(sizes.sum()))
        before = np.cumsum(gained) - gained
        self.counts = np.cumsum(gained) - np.repeat(before[self.start], sizes)
        self.fixed = sums.fixed

    def lengths(self, widths: IntArray) -> IntArray:
        """Return the length of each axis, [axes + 1], when each group keeps so many units, [groups]."""
        counts = self.counts[self.start + widths[self.group]]
        return self.fixed + np.bincount(self.axis, counts, len(self.fixed)).astype(np.int64)
