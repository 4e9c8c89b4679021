"""Subject: what is run to find labels: a network or one module of it, with what goes in."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from elastic.plan import Axis, BoolArray, IntArray, TensorSpec
from elastic.tracing.following.followed import Followed
from elastic.tracing.following.follower import Follower
from elastic.tracing.planning import specs_of
from elastic.tracing.twin import Arguments, borrowed, run


@dataclass(frozen=True, eq=False)
class Subject:
    """A twin, its input, the modules in train mode for each run, and for a module what its inputs carry.

    The inputs of a module have cells of their own, as a weight has: an axis of input I is named `~I`.
    """

    twin: nn.Module
    example: Any
    modes: tuple[frozenset[str], ...] = (frozenset(),)
    carried: tuple[Followed, ...] = ()

    @cached_property
    def modules(self) -> list[tuple[str, nn.Module]]:
        """The modules of the twin, with their paths."""
        return list(self.twin.named_modules())

    @contextmanager
    def borrowed(self) -> Iterator[None]:
        """Let the twin be changed, and give it back as it was."""
        with borrowed(module for _, module in self.modules):
            yield

    def part(self, path: str, follower: Follower) -> "Subject":
        """Return a module with what went into its first call."""
        part = Subject(self.twin.get_submodule(path), Arguments(*follower.entered[path]))
        seen = [follower.followed(tensor) for tensor in part.tensors()]
        roots = [{dim: follower.partition.find(cells) for dim, cells in each.axes.items()} for each in seen]
        carried = tuple(each.with_axes(axes) for each, axes in zip(seen, roots, strict=True))
        return replace(part, carried=carried)

    def run(self, follower: Follower) -> list[Any]:
        """Return what the runs give; what they cost is that of the first."""
        results = []
        with follower.running():
            for number, training in enumerate(self.modes):
                follower.is_counting = number == 0
                results.append(self.run_with(training))
        return results

    def run_with(self, training: frozenset[str]) -> Any:
        """Change the mode of the named modules to train mode, the others to eval mode, and return the output."""
        for name, module in self.modules:
            vars(module)["training"] = name in training
        return run(self.twin, self.example)

    def enter(self, follower: Follower, origins: Mapping[Axis, IntArray] | None = None) -> None:
        """Change what a follower knows: the inputs, with cells that are one where they were one outside."""
        known: dict[int, int] = {}
        for number, (tensor, carried) in enumerate(zip(self.tensors(), self.carried, strict=False)):
            axes = {}
            for dim, cells in carried.axes.items():
                home = (f"~{number}", dim)
                if origins is not None:
                    axes[dim] = follower.partition.new(tensor.shape[dim], origins[home])
                    continue
                fresh = [cell for cell in dict.fromkeys(cells.tolist()) if cell not in known]
                known |= dict(zip(fresh, follower.partition.new(len(fresh)).tolist(), strict=True))
                axes[dim] = follower.axes[home] = np.array([known[cell] for cell in cells.tolist()], np.int64)
            follower.put(tensor, replace(carried, axes=axes, choices=frozenset(), layers=(), weight=""))
        if not self.carried:
            for tensor in self.tensors():
                follower.put(tensor, Followed(why="it is the network's input"))

    def tensors(self) -> list[Tensor]:
        """Return the tensors that go in."""
        if isinstance(self.example, Arguments):
            return [leaf for leaf in tree_leaves((self.example.args, self.example.kwargs)) if isinstance(leaf, Tensor)]
        return [leaf for leaf in tree_leaves(self.example) if isinstance(leaf, Tensor)]

    def specs(self) -> tuple[dict[str, TensorSpec], dict[str, str]]:
        """Return what a plan knows of the tensors of the twin and of the inputs."""
        specs, aliases = specs_of(self.twin)
        for number, (tensor, _) in enumerate(zip(self.tensors(), self.carried, strict=False)):
            specs[f"~{number}"] = TensorSpec(tuple(tensor.shape), "F32", False)
        return specs, aliases

    def shrunk(self, axes: Mapping[str, Mapping[int, IntArray]], stays: BoolArray) -> "Subject":
        """Return the subject with inputs that lose the units that leave."""
        if not self.carried:
            return self
        small = {id(t): shrink(t, axes.get(f"~{number}", {}), stays) for number, t in enumerate(self.tensors())}
        args, kwargs = tree_map(lambda leaf: small.get(id(leaf), leaf), (self.example.args, self.example.kwargs))
        return replace(self, example=Arguments(args, kwargs))


def shrink(tensor: Tensor, axes: Mapping[int, IntArray], stays: Sequence[bool] | BoolArray) -> Tensor:
    """Return an empty tensor of what stays."""
    kept = np.asarray(stays)
    return tensor.new_zeros([int(kept[axes[a]].sum()) if a in axes else size for a, size in enumerate(tensor.shape)])
