"""From the forward pass that a plan records to the rows of its picture: one for each layer with a weight and each join.

Norms and activations are marks on the row that they follow; those on a branch of their own, as a norm before attention
is, are marks before the layer that they lead to, so that the skip beside them stays what it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from elastic.diagnosing import name_of
from elastic.plan import NEVER, Axis, Layer, Plan

MARKS = ("norm", "activation")
PRODUCTS = ("convolution", "linear", "embedding")
MOST_PARTS = 64  # of a bar; where groups alternate more often, each is shown once


@dataclass(frozen=True)
class Part:
    """A run of channels of one group, by its number in `plan.groups`; NEVER where they are frozen."""

    group: int
    channels: int


@dataclass(eq=False)
class Row:
    """One layer or join, with the numbers of the rows that it takes in.

    `before` and `after` are the norms and activations around it. `width` is None where its channels aren't known;
    `width_in` too, and for what isn't a layer with a weight.
    """

    module: str
    kind: str
    inputs: tuple[int, ...]
    before: tuple[str, ...] = ()
    after: list[str] = field(default_factory=list)
    width: int | None = None
    width_in: int | None = None
    parts: tuple[Part, ...] = ()
    detail: str = ""  # of a convolution: 3×3, depthwise
    size: str = ""  # of a convolution's output: 56×56
    sizes: Mapping[Axis, int] = field(default_factory=dict)  # of the axes of the module's own tensors
    block: str = ""  # the part of the network that it belongs to

    @property
    def groups(self) -> tuple[int, ...]:
        """The groups of its channels in order."""
        return tuple(dict.fromkeys(part.group for part in self.parts if part.group != NEVER))

    @property
    def is_frozen(self) -> bool:
        """Whether some of its channels never leave."""
        return any(part.group == NEVER for part in self.parts)


@dataclass(frozen=True)
class _Waiting:
    """Norms and activations on a branch of their own, that wait for the layer that they lead to."""

    row: int
    marks: tuple[str, ...]


def rows_of(plan: Plan) -> tuple[Row, ...]:
    """Return the rows of a plan's picture in forward order."""
    axes = _channel_axes(plan)
    widths = [None if axis is None else layer.shape[axis] for layer, axis in zip(plan.layers, axes, strict=True)]
    readers = [0] * len(plan.layers)
    for layer in plan.layers:
        for each in set(layer.inputs):
            readers[each] += 1
    rows: list[Row] = []
    homes: dict[int, int | _Waiting] = {}
    for number, layer in enumerate(plan.layers):
        source = layer.inputs[0] if len(layer.inputs) == 1 else None
        if layer.kind in MARKS and source is not None and widths[source] == widths[number]:
            home = homes[source]
            if readers[source] == 1 and not isinstance(home, _Waiting):
                rows[home].after.append(layer.kind)
                homes[number] = home
                continue
            if readers[number] == 1:
                waiting = home if isinstance(home, _Waiting) else _Waiting(home, ())
                homes[number] = _Waiting(waiting.row, (*waiting.marks, layer.kind))
                continue
        homes[number] = len(rows)
        rows.append(_row(plan, layer, axes[number], [widths[each] for each in layer.inputs], homes))
    for done, block in zip(rows, _blocks([row.module for row in rows]), strict=True):
        done.block = block
    return tuple(rows)


def _blocks(modules: Sequence[str]) -> list[str]:
    """Return the block of each module: its path, as deep as it takes to have one block for at most ten rows."""
    deepest = max(module.count(".") for module in modules) + 1
    for depth in range(1, deepest + 1):
        blocks = [".".join(module.split(".")[:depth]) for module in modules]
        if 10 * len(set(blocks)) >= len(modules):
            return blocks
    return list(modules)


def _row(
    plan: Plan,
    layer: Layer,
    axis: int | None,
    widths: Sequence[int | None],
    homes: Mapping[int, int | _Waiting],
) -> Row:
    found = [homes[each] for each in layer.inputs]
    inputs = tuple(dict.fromkeys(home.row if isinstance(home, _Waiting) else home for home in found))
    before = tuple(mark for home in found if isinstance(home, _Waiting) for mark in home.marks)
    row = Row(name_of(layer), layer.kind, inputs, before)
    if axis is not None:
        row.width = None if layer.kind == "attention" else layer.shape[axis]  # heads aren't on the scale of channels
        row.parts = _parts(plan, layer, axis)
    if layer.kind in PRODUCTS:
        row.sizes = {
            (name, axis): size
            for name, spec in plan.tensors.items()
            if name.rpartition(".")[0] == row.module
            for axis, size in enumerate(spec.shape[:2])
        }
        _describe(row, layer, plan, widths)
    return row


def _describe(row: Row, layer: Layer, plan: Plan, widths: Sequence[int | None]) -> None:
    """Change a row so that it says what its weight is like."""
    weight = _weight_shape(plan, layer)  # [out, in / groups, ..], of a transposed convolution [in, out / groups, ..]
    known = widths[0] if len(widths) == 1 else None
    if layer.kind == "convolution" and len(weight) >= 3:
        is_transposed = weight[0] != row.width
        # A plan doesn't say how many groups there are; where the second axis has units or a reason, there is but one.
        is_whole = (layer.weight, 1) in plan.axes or any((f.tensor, f.axis) == (layer.weight, 1) for f in plan.frozen)
        fits = known is not None and known % weight[1] == 0 and not is_whole
        row.width_in = weight[0] if is_transposed else known if fits else weight[1]
        groups = ((row.width if is_transposed else row.width_in) or 0) // weight[1]
        grouped = "" if groups <= 1 else "depthwise" if groups == row.width_in else f"{groups} groups"
        row.detail = ", ".join(text for text in ("×".join(map(str, weight[2:])), grouped) if text)
        row.size = "×".join(map(str, layer.shape[2:]))
    elif layer.kind == "linear" and len(weight) == 2:
        row.width_in = weight[1]
    elif layer.kind == "embedding" and len(weight) == 2:
        row.width_in = weight[0]


def _weight_shape(plan: Plan, layer: Layer) -> tuple[int, ...]:
    # Where a bias is what was recorded, it is the weight beside it that says how much comes in.
    beside = f"{name_of(layer)}.weight" if layer.kind in PRODUCTS else ""
    shapes = [plan.tensors[name].shape for name in (layer.weight, beside) if name and name in plan.tensors]
    return max(shapes, key=len, default=())


def _parts(plan: Plan, layer: Layer, axis: int) -> tuple[Part, ...]:
    if axis not in layer.units:
        return (Part(NEVER, layer.shape[axis]),)
    labels = layer.units[axis]
    groups = np.where(labels == NEVER, NEVER, plan.group_of_unit[labels])
    starts = np.flatnonzero(np.r_[True, groups[1:] != groups[:-1]])
    if len(starts) <= MOST_PARTS:
        ends = np.r_[starts[1:], len(groups)]
        return tuple(Part(int(groups[a]), int(b - a)) for a, b in zip(starts, ends, strict=True))
    numbers, first, counts = np.unique(groups, return_index=True, return_counts=True)
    return tuple(Part(int(numbers[n]), int(counts[n])) for n in np.argsort(first))


def _channel_axes(plan: Plan) -> list[int | None]:
    """Return which axis of each layer's output is that of its channels, None where that can't be told."""
    axes: list[int | None] = []
    for layer in plan.layers:
        sizes = [(axes[each], plan.layers[each].shape) for each in layer.inputs]
        widths = [shape[axis] for axis, shape in sizes if axis is not None]
        match layer.kind:
            case "convolution":
                axes.append(1)
            case "linear" | "embedding":
                axes.append(len(layer.shape) - 1)
            case "cat":
                axes.append(_axis(layer, sum(widths) if len(widths) == len(sizes) else 0, sizes))
            case "norm" if weight := _weight_shape(plan, layer):
                axes.append(_axis(layer, weight[-1], sizes))
            case _:
                axes.append(_axis(layer, max(widths, default=0), sizes))
    return axes


def _axis(layer: Layer, width: int, inputs: Sequence[tuple[int | None, tuple[int, ...]]]) -> int | None:
    """Return the axis of what has no weight of its own: the one with units, or of the width that its inputs have."""
    if layer.units:
        return max(layer.units, key=lambda dim: (layer.shape[dim] == width, layer.shape[dim]))
    same_place = [axis for axis, shape in inputs if axis is not None and len(shape) == len(layer.shape)]
    every = [*same_place, *reversed(range(len(layer.shape)))]
    return next((axis for axis in every if width > 1 and layer.shape[axis] == width), None)
