"""Family: the levels of a file as networks that can be trained, and which of their tensors each has alone.

A level's own are its norms' weights and statistics, its biases, and, where levels are grown, the weights of its last
layer: what is small, and what no two levels could share without loss.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from torch import Tensor, nn

from elastic.checkpoint import load
from elastic.cutting import State
from elastic.metadata import Header, read_header
from elastic.plan import Plan
from elastic.planned import Planned, load_plan
from elastic.precision import computable
from elastic.tensors import take_dtypes
from elastic.told import check_plain_levels
from elastic.training import Epoch

Measure = Callable[[nn.Module], Mapping[str, float]]
States = dict[int, dict[str, Tensor]]  # by level
Told = dict[int | None, tuple[Epoch, ...]]  # by level, None for all of them at once


@dataclass(frozen=True, eq=False)
class Family:
    """A file's levels; `network` gives that of a level, a new one each time."""

    header: Header
    planned: Planned
    network: Callable[[int], nn.Module]

    @property
    def last(self) -> int:
        """The number of the largest level."""
        return len(self.header.levels) - 1

    @cached_property
    def whole(self) -> nn.Module:
        """The largest level as it is in the file."""
        return self.network(self.last)

    def working(self, level: int, state: State | None = None) -> nn.Module:
        """Return a level's network in float32, with these weights instead of its own."""
        network = self.network(level)
        if state is not None:
            network.load_state_dict(state)
        return computable(network)

    def as_stored(self, network: nn.Module, level: int) -> dict[str, Tensor]:
        """Return the state dict of a level's working network with the dtypes of the file."""
        return take_dtypes(network, self.network(level).state_dict()).state_dict()


def family_of(path: str | Path, network: Callable[[int], nn.Module] | None = None) -> Family:
    """Return the levels of a file.

    Raises InvalidBits or GatedLevel for one with levels of another make, and what `load_plan` raises.
    """
    header = read_header(path)
    check_plain_levels(header, path)
    return Family(header, load_plan(path), network or (lambda level: load(path, level)))


def head_of(plan: Plan) -> str | None:
    """Return the name of the weight of the last layer, None if it is tied to another tensor or there is none."""
    weights = [operation.weight for operation in plan.operations if operation.weight is not None]
    return weights[-1] if weights and weights[-1] not in plan.aliases.values() else None


def shared_names(plan: Plan, *, with_head: bool, with_vectors: bool = False) -> list[str]:
    """Return the parameters that levels share: those of two axes and more; vectors are of norms, and biases."""
    own = None if with_head else head_of(plan)
    least = 0 if with_vectors else 2
    return [n for n, spec in plan.tensors.items() if spec.is_parameter and len(spec.shape) >= least and n != own]
