"""Latency as a price: a table of each layer's time over its widths, interpolated between them.

A table is a file of JSON: `{"unit": "ms", "layers": {"conv1": {"inputs": [3], "outputs": [4, 8, 16], "times":
[[0.1, 0.2, 0.3]]}}}`, one row of times for each width of the inputs, one column for each width of the outputs. A layer
that isn't in it costs nothing. A table that `elastic profile` measured becomes such a grid.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from torch import Tensor

from elastic.allocation.sums import Sums
from elastic.errors import DataError, PlanMismatch
from elastic.latency import Table, is_table, read_table
from elastic.latency.staircases import features
from elastic.plan import Plan
from elastic.roles import output_axes

GRID = 8  # parts that the widths of a measured table are divided into
Width = Annotated[int, Field(ge=1)]
Time = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class LayerTimes(BaseModel):
    """The times of one layer; widths rise."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    inputs: Annotated[tuple[Width, ...], Field(min_length=1)]
    outputs: Annotated[tuple[Width, ...], Field(min_length=1)]
    times: tuple[tuple[Time, ...], ...]

    @model_validator(mode="after")
    def _fits(self) -> "LayerTimes":
        for name, widths in (("inputs", self.inputs), ("outputs", self.outputs)):
            if any(after <= before for before, after in pairwise(widths)):
                raise ValueError(f"{name} have to rise, {list(widths)} don't")
        if len(self.times) != len(self.inputs) or any(len(row) != len(self.outputs) for row in self.times):
            raise ValueError(f"times have to be {len(self.inputs)} rows of {len(self.outputs)}")
        return self


class LatencyTable(BaseModel):
    """The times of a network's layers, by the name of the module."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    unit: str = "ms"
    layers: Annotated[dict[str, LayerTimes], Field(min_length=1)]


def read_latency_table(path: str | Path) -> LatencyTable:
    """Return the table in a file of JSON, or in one that `elastic profile` wrote, on whatever machine.

    Raises DataError if there is none, or it can't be read as one, and what `elastic.latency.read_table` raises.
    """
    try:
        if is_table(path):
            return grid_of(read_table(path, elsewhere=True))
        return LatencyTable.model_validate_json(Path(path).read_bytes())
    except OSError as error:
        raise DataError(f"can't read the latency table {path}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DataError(f"{path} is no latency table: {where + ': ' if where else ''}{first['msg']}") from error


def grid_of(table: Table) -> LatencyTable:
    """Return the times of a measured table's layers at some widths, in milliseconds.

    What comes behind a layer is taken to be as wide, as a share, as what the layer makes.
    """
    fitted, found = table.fitted, {}
    whole = np.array(table.whole.widths)  # [layers, 3]
    for number, layer in enumerate(fitted.layers):
        steps, factors = fitted.staircases.steps[number], fitted.staircases.factors[number]
        inputs, outputs = (_grid(int(whole[number, side]), int(steps[side])) for side in (0, 1))
        widths = np.array([[[i, o, round(whole[number, 2] * o / whole[number, 1])] for o in outputs] for i in inputs])
        times = 1e3 * fitted.factor * (features(widths, steps) * factors).sum(-1)
        if number == 0:
            times += 1e3 * fitted.constant
        found[layer.name] = LayerTimes(inputs=inputs, outputs=outputs, times=tuple(map(tuple, times.tolist())))
    return LatencyTable(layers={name: each for name, each in found.items() if np.any(each.times)})


def _grid(whole: int, step: int) -> tuple[int, ...]:
    """Return up to nine widths, from one step or channel to the whole, where a staircase ends."""
    shares = (math.ceil(whole * share / GRID / step) * step for share in range(1, GRID))
    return tuple(sorted({min(step, whole), *(width for width in shares if width < whole), whole}))


class LatencyPrice:
    """The time of a plan's network by a table, as a share of the whole network's: `Price` of another quantity."""

    quantity = "latency"

    def __init__(self, plan: Plan, table: LatencyTable) -> None:
        """Raise PlanMismatch if the table names a layer that the plan has not, or none that can change."""
        sums = Sums(plan)
        self.fixed, self.units = torch.from_numpy(sums.fixed).double(), torch.from_numpy(sums.units)
        self.axes, self.layers = torch.from_numpy(sums.axes), _layers(plan, sums, table)
        self.unit = table.unit
        self.dense = 1.0
        self.dense = float(self(torch.ones(plan.units)))
        if not self.dense > 0:
            raise PlanMismatch("the latency table says that the whole network takes no time at all")

    def __call__(self, gates: Tensor) -> Tensor:
        """Return the share of the whole network's time that gates [units] leave, a float64 scalar."""
        device = gates.device
        lengths = self.fixed.to(device).index_add(0, self.axes.to(device), gates.double()[self.units.to(device)])
        return torch.stack([layer.time(lengths) for layer in self.layers]).sum() / self.dense


@dataclass(frozen=True, eq=False)
class _Layer:
    times: LayerTimes
    inputs: int  # number of the axis, -1 where it never changes
    outputs: int
    whole: tuple[int, int]  # inputs, outputs

    def time(self, lengths: Tensor) -> Tensor:
        across = self.times.inputs, self.times.outputs
        found = [
            _between(widths, lengths[axis] if axis >= 0 else lengths.new_tensor(float(whole)))
            for widths, axis, whole in zip(across, (self.inputs, self.outputs), self.whole, strict=True)
        ]
        (low_in, rest_in), (low_out, rest_out) = found
        times = lengths.new_tensor(self.times.times)
        rows = _mixed(times, low_in, rest_in)  # [outputs]
        return _mixed(rows, low_out, rest_out)


def _between(widths: Sequence[int], width: Tensor) -> tuple[int, Tensor]:
    """Return the number of the width below, and how far it is to the next, beyond the ends too."""
    if len(widths) == 1:
        return 0, width.new_zeros(())
    low = min(max(0, sum(float(width.detach()) >= each for each in widths) - 1), len(widths) - 2)
    return low, (width - widths[low]) / (widths[low + 1] - widths[low])


def _mixed(values: Tensor, low: int, share: Tensor) -> Tensor:
    if len(values) == 1:
        return values[0]
    return values[low] * (1 - share) + values[low + 1] * share


def _layers(plan: Plan, sums: Sums, table: LatencyTable) -> list[_Layer]:
    axes = output_axes(plan)
    axes = {**{name: 0 for name, spec in plan.tensors.items() if spec.is_parameter and spec.shape}, **axes}
    known = {name.rpartition(".")[0]: name for name in sorted(axes, key=lambda name: len(plan.tensors[name].shape))}
    if unknown := [name for name in table.layers if name not in known]:
        raise PlanMismatch(
            f"the latency table has a layer {unknown[0]!r}, the network has not; it has {', '.join(sorted(known))}"
        )
    found = []
    for layer, times in table.layers.items():
        name = known[layer]
        shape, out = plan.tensors[name].shape, axes[name]
        inputs, outputs = (sums.numbers.get((name, axis), -1) for axis in (1 - out, out))
        found.append(_Layer(times, inputs, outputs, (shape[1 - out] if len(shape) > 1 else 1, shape[out])))
    return found
