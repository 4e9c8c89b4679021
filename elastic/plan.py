"""Plan: which positions of which tensors must leave together. Only nouns; start reading here.

Every channel that could be removed carries an integer, its unit. A plan writes down, for each axis of each tensor in
the state dict, the unit of every position; -1 marks a position that never leaves. That is the whole dependency graph
as plain data: scores, costs, cuts and files need nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from elastic.errors import PlanMismatch

IntArray = npt.NDArray[np.int64]
LevelArray = npt.NDArray[np.uint8]
BoolArray = npt.NDArray[np.bool_]
Axis = tuple[str, int]  # name in the state dict, number of the axis

NEVER = -1  # the label of a position that is never removed


@dataclass(frozen=True)
class TensorSpec:
    """What the plan has to know of one tensor of the state dict."""

    shape: tuple[int, ...]
    dtype: str  # safetensors' name: F32, BF16, I64, ...
    is_parameter: bool


@dataclass(frozen=True)
class Operation:
    """One source of multiply-accumulates in a forward pass on the example input.

    With a weight, every element of it is used `macs` times, so what is left of the weight times `macs` is the cost
    after a cut. Other axes that may lose something are `along`, each given by its labels: those of attention's products
    of two activations, or the channels for each of which a token mixer's weight is used; `macs` is then for each
    combination of their positions. What doesn't lose anything is within `macs`.
    """

    module: str
    kind: str
    weight: str | None
    macs: int
    along: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, eq=False)
class Layer:
    """One step of the forward pass that makes, joins or changes channels, in forward order.

    `kind` is convolution, linear, embedding, norm, activation, add, multiply, cat or attention. `inputs` are the
    numbers of the layers whose outputs come in; none is the network's input. `weight` is the layer's own, None where it
    has none; `shape` that of its output on the example, and `units` the labels along the axes of it that have some:
    what a layer gets is what its inputs give.
    """

    module: str
    kind: str
    inputs: tuple[int, ...]
    weight: str | None
    shape: tuple[int, ...]
    units: Mapping[int, IntArray]


@dataclass(frozen=True, eq=False)
class Output:
    """Memory that one operation of the forward pass takes for what it makes, in forward order.

    A view takes none, nor does what is written in place. `until` is the number of the output that is made last while
    this one is still held: by an operation that reads it, or by a module that it was given to. `units` are the labels
    along the axes of `shape` that have some.
    """

    module: str
    shape: tuple[int, ...]
    dtype: str  # safetensors' name
    units: Mapping[int, IntArray]
    until: int


@dataclass(frozen=True)
class Frozen:
    """Why some positions of a tensor's axis never leave."""

    tensor: str
    axis: int
    positions: int
    reason: str


@dataclass(frozen=True, eq=False)
class Group:
    """Units that compete in one layer: they live on exactly the same axes."""

    name: str
    units: IntArray  # ascending
    axes: tuple[Axis, ...]
    positions_per_unit: int  # on the group's first axis; more than one for grouped convolutions


@dataclass(frozen=True, eq=False)
class Plan:
    """Unit of every position of every elastic axis, and what the network costs.

    `axes` holds only axes with at least one unit; labels run from 0 without gaps. `tensors` lists the whole state dict
    in its own order, without the aliases: `aliases` maps each further name of a tied tensor to its first.

    `attributes` are numbers that modules keep of their widths, by the module's path and the attribute's name
    (`num_heads`; `splits.0` is within a list): each is the count of those labels that stay. `layers` is the forward
    pass and `outputs` the memory that it takes, as far as the source of labels records them.
    """

    axes: Mapping[Axis, IntArray]
    tensors: Mapping[str, TensorSpec]
    operations: tuple[Operation, ...]
    frozen: tuple[Frozen, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[tuple[str, str], IntArray] = field(default_factory=dict)
    layers: tuple[Layer, ...] = ()
    outputs: tuple[Output, ...] = ()

    @cached_property
    def units(self) -> int:
        """How many units there are; they are numbered 0 to units - 1."""
        return 1 + max((int(labels.max()) for labels in self.axes.values()), default=NEVER)

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """Units by the set of axes that they live on, in the order of the state dict."""
        keys = np.random.default_rng(0).integers(1 << 63, size=len(self.axes), dtype=np.uint64)
        homes = np.zeros(self.units + 1, np.uint64)  # the sum of 63 random bits for each axis names a set of axes
        for key, labels in zip(keys, self.axes.values(), strict=True):
            homes[labels] += key  # once for each unit, however often it is there; NEVER is the last
        _, first, members = np.unique(homes[:-1], return_index=True, return_inverse=True)
        order = np.argsort(members, kind="stable")
        units = np.split(order, np.cumsum(np.bincount(members, minlength=len(first)))[:-1])
        axes: list[list[Axis]] = [[] for _ in first]
        for home, labels in self.axes.items():
            here = np.zeros(len(first), np.bool_)
            here[members[labels[labels != NEVER]]] = True
            for number in np.flatnonzero(here).tolist():
                axes[number].append(home)
        return tuple(self._group(axes[number], units[number]) for number in np.argsort(first))

    def _group(self, axes: list[Axis], units: IntArray) -> Group:
        per_unit = int((self.axes[axes[0]] == units[0]).sum())
        return Group(axes[0][0].rpartition(".")[0] or axes[0][0], units.astype(np.int64), tuple(axes), per_unit)

    @cached_property
    def group_of_unit(self) -> IntArray:
        """Number of its group for each unit, [units]."""
        numbers = np.empty(self.units, np.int64)
        for number, group in enumerate(self.groups):
            numbers[group.units] = number
        return numbers

    @cached_property
    def axes_of_tensor(self) -> Mapping[str, Mapping[int, IntArray]]:
        """The elastic axes of each tensor that has some: labels by axis number, ascending."""
        found: dict[str, dict[int, IntArray]] = {}
        for name, axis in sorted(self.axes):
            found.setdefault(name, {})[axis] = self.axes[name, axis]
        return found

    def sizes(self, levels: LevelArray, level: int = 0) -> dict[tuple[str, str], int]:
        """Return the values of `attributes` in the network of a level."""
        stays = np.append(levels <= level, True)  # label -1 picks the last
        return {key: int(stays[labels].sum()) for key, labels in self.attributes.items()}

    def position_levels(self, levels: LevelArray) -> dict[str, dict[int, LevelArray]]:
        """Return the level of every position of every elastic axis, given the level of every unit [units].

        Positions that never leave are of level 0.

        Raises PlanMismatch if there isn't one level for each unit.
        """
        if levels.shape != (self.units,):
            raise PlanMismatch(f"levels of shape {list(levels.shape)} for a plan of {self.units} units; give one each")
        with_never = np.append(levels, np.uint8(0)).astype(np.uint8)  # label -1 picks the last
        return {name: {axis: with_never[a] for axis, a in axes.items()} for name, axes in self.axes_of_tensor.items()}
