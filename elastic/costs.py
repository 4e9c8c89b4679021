"""Parameters, multiply-accumulates and bytes of any choice of units, in closed form: no model is run.

All are sums over tensors of a product of how many positions each axis keeps, so a cost is a matter of counting
labels. `params` counts parameters (tied ones once), `macs` what torch's flop counter counts, halved, on the plan's
example input, `bytes` the plain safetensors file of the cut state dict, header included. `peak_bytes` are those of the
state in memory (tied once) and of what a forward pass on the example holds at once beside it, the greatest of several.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from elastic.errors import TargetError
from elastic.metadata import DTYPES, plain_bytes
from elastic.peaks import held
from elastic.plan import NEVER, BoolArray, Plan


@dataclass(frozen=True)
class Cost:
    """What a network costs."""

    params: int
    macs: int  # for one forward pass on the example input
    bytes: int  # of its state dict as a plain safetensors file
    nanoseconds: int | None = None  # of a forward pass, as a latency table predicts it; without one nobody knows
    peak_bytes: int | None = None  # in memory at once; None where the plan doesn't hold the forward pass

    def __getitem__(self, quantity: str) -> int:
        if quantity == "memory":
            if self.peak_bytes is None:
                raise no_forward_pass()
            return self.peak_bytes
        if quantity == "latency":
            if self.nanoseconds is None:
                raise no_latency_table()
            return self.nanoseconds
        return {"params": self.params, "macs": self.macs, "size": self.bytes}[quantity]


@dataclass(frozen=True, eq=False)
class CostModel:
    """The cost of any choice of units of one plan; `nanoseconds` tells the time of one, where there is a table."""

    plan: Plan
    nanoseconds: Callable[[BoolArray], int] | None = None

    def cost(self, stays: BoolArray) -> Cost:
        """Return the cost of the network that keeps the units where `stays` [units] is true."""
        shapes = self.shapes(stays)
        sizes = {name: math.prod(shape) for name, shape in shapes.items()}
        params = sum(sizes[name] for name, spec in self.plan.tensors.items() if spec.is_parameter)
        with_never = np.append(stays, True)
        macs = sum(
            o.macs
            * (sizes[o.weight] if o.weight else 1)
            * math.prod(int(with_never[list(axis)].sum()) for axis in o.along)
            for o in self.plan.operations
        )
        seconds = None if self.nanoseconds is None else self.nanoseconds(stays)
        return Cost(params, macs, self._bytes(shapes), seconds, self._peak(sizes, with_never))

    @cached_property
    def dense(self) -> Cost:
        """The cost of the whole network."""
        return self.cost(np.ones(self.plan.units, np.bool_))

    def shapes(self, stays: BoolArray) -> dict[str, tuple[int, ...]]:
        """Return the shape of every tensor of the cut network."""
        with_never = np.append(stays, True)  # label -1 picks the last: what never leaves
        lengths: dict[int, int] = {}
        for key, labels in self._distinct.items():
            lengths[key] = int(with_never[labels].sum())
        return {
            name: tuple(
                lengths[self._keys[name, axis]] if (name, axis) in self._keys else size
                for axis, size in enumerate(spec.shape)
            )
            for name, spec in self.plan.tensors.items()
        }

    def _bytes(self, shapes: Mapping[str, tuple[int, ...]]) -> int:
        tensors = {name: (self.plan.tensors[name].dtype, shape) for name, shape in shapes.items()}
        tied = {alias: tensors[name] for alias, name in self.plan.aliases.items()}
        return plain_bytes({**tensors, **tied})

    def _peak(self, sizes: Mapping[str, int], with_never: BoolArray) -> int | None:
        if not self.plan.outputs:
            return None
        state = sum(sizes[name] * bytes_of(spec.dtype) for name, spec in self.plan.tensors.items())
        made = [
            bytes_of(output.dtype)
            * math.prod(
                int(with_never[output.units[axis]].sum()) if axis in output.units else size
                for axis, size in enumerate(output.shape)
            )
            for output in self.plan.outputs
        ]
        until = np.array([output.until for output in self.plan.outputs])
        return state + int(held(np.array(made, np.int64), until).max())

    @cached_property
    def _keys(self) -> Mapping[tuple[str, int], int]:
        # Axes that are labelled alike are counted once.
        known: dict[bytes, int] = {}
        return {home: known.setdefault(labels.tobytes(), len(known)) for home, labels in self.plan.axes.items()}

    @cached_property
    def _distinct(self) -> Mapping[int, np.ndarray]:
        return {
            self._keys[home]: np.where(labels == NEVER, self.plan.units, labels)
            for home, labels in self.plan.axes.items()
        }


def bytes_of(dtype: str) -> int:
    """Return the bytes of one element, by safetensors' name."""
    return DTYPES[dtype].itemsize


def no_forward_pass() -> TargetError:
    """Return the error of asking for the memory of a plan that lacks what a forward pass makes."""
    return TargetError(
        "a target of memory needs a record of what a forward pass holds, which this plan lacks: files keep none, nor "
        "does the engine torch-pruning; prune the network itself, traced by the engine elastic, or limit size"
    )


def no_latency_table() -> TargetError:
    """Return the error of asking for a time that nobody knows."""
    return TargetError(
        "a target of latency needs a table of how long this network's layers take on this device: `elastic profile` "
        "measures one, and `elastic prune` and `elastic gate channels` take it (--latency-table); or limit macs"
    )
