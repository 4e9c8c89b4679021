"""Labels from torch-pruning's dependency graph: (model, example) -> which positions leave together.

The library groups whole layers, numbers the parts of `split` in the order in which it meets them, and takes every
operation that it does not know for an element-wise one. So its edges are read directly, cell by cell (a cell is one
channel of one side of one node), joined by connected components, and only through operations named below; what else
touches a cell freezes it. What may still be wrong is found by trying (`probing.py`), never guessed.

Fang et al., "DepGraph: Towards Any Structural Pruning", CVPR 2023, for the graph.
"""

import re
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch_pruning as tp
from torch import nn

from elastic.errors import TraceError
from elastic.plan import NEVER, Axis, IntArray
from elastic.tracing.labels import Labels
from elastic.tracing.layers import axes_of_side, coupled_channels, why_frozen
from elastic.tracing.library.cells import Cells, Side
from elastic.tracing.library.operations import count_operations
from elastic.tracing.library.sealing import sealed
from elastic.tracing.twin import Example, outputs, place, run

# Element-wise in the channels, or a reduction over space; everything else freezes what it touches.
TRANSPARENT = re.compile(
    "(Add|Sub|Rsub|Mul|Div|Neg|Abs|Pow|Exp|Log|Sqrt|Rsqrt|Relu|LeakyRelu|Silu|Gelu|Elu|Selu|Celu|Softplus|Mish|Hardtanh|"
    "Hardswish|Hardsigmoid|Sigmoid|Tanh|Clamp|ClampMin|NativeDropout|NativeLayerNorm|(Adaptive)?(Max|Avg)Pool.*|Mean|Sum|Amax|Upsample.*|"
    r"Clone|ToCopy|Alias|AsStrided|Squeeze|Unsqueeze|Permute|Transpose|T|Addmm|Mm)Backward\d*"
)


def labels_from_graph_library(twin: nn.Module, example: Example) -> Labels:
    """Return labels for the meta twin's axes, by state-dict name.

    Raises TraceError if the library can't build its graph.
    """
    graph, roots = _build(twin, example)
    walk = _Walk(graph)
    walk.follow_all()
    for module, node in graph.module2node.items():
        if node.grad_fn in roots:
            walk.freeze(walk.side(node, "out"), "it is the network's output")
        if _takes_input(node):
            walk.freeze(walk.side(node, "in"), "it is the network's input")
        if sets := coupled_channels(module):
            into, out_of = (walk.all_of(walk.side(node, name)) for name in ("in", "out"))
            for ins, outs in sets:
                walk.cells.couple(into[ins], out_of[outs])
    labels = _compile(twin, walk)
    labels.operations = count_operations(twin, place(example, "meta"), dict(twin.named_parameters()))
    return labels


def _build(twin: nn.Module, example: Example) -> tuple[Any, set[Any]]:
    roots: set[Any] = set()

    def remember(result: Any) -> list[torch.Tensor]:
        found = [t for t in outputs(result) if t.grad_fn is not None]
        roots.update(t.grad_fn for t in found)
        return found

    graph = _Graph()
    try:
        with warnings.catch_warnings(), torch.enable_grad(), sealed(twin):
            warnings.simplefilter("ignore")
            graph.build_dependency(twin, place(example, "meta"), run, remember, verbose=False)
    except Exception as reason:
        raise TraceError(
            f"torch-pruning can't build a graph of {type(twin).__name__}: {type(reason).__name__}: {reason}; "
            "check the example input, or prune a part of the model"
        ) from reason
    return graph, roots


class _Graph(tp.DependencyGraph):  # type: ignore[misc]
    """The library's graph, told how wide the parts of a concatenation are: it guesses, and fails on long networks."""

    def _trace(self, *args: Any, **kwargs: Any) -> Any:
        nodes = super()._trace(*args, **kwargs)
        for node in nodes.values():
            if isinstance(node.module, tp.ops._ConcatOp):
                dim = (node.grad_fn._saved_dim + 2**63) % 2**64 - 2**63  # autograd keeps a negative one unsigned
                parts = [f._input_metadata[number].shape[dim] for f, number in node.grad_fn.next_functions if f]
                node.module.concat_sizes = parts
                node.module.is_partial = len(parts) != len(node.inputs) or len(parts) != len(
                    node.grad_fn.next_functions
                )
        return nodes


class _Walk:
    """A walk over the library's graph that leaves a cell for every channel of every side of every node."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph
        self.cells = Cells()
        self.widest = 0  # channels of the widest layer: an operation that seems to have more is misread

    def follow_all(self) -> None:
        """Follow every channel of every layer along every edge, each edge once for each channel."""
        waiting: list[tuple[Side, IntArray]] = []
        for module, node in self.graph.module2node.items():
            for name in ("in", "out"):
                if (size := self.size(module, name)) is not None:
                    waiting.append((self.side(node, name), np.arange(size)))
                    self.widest = max(self.widest, size)
        visited: dict[Side, set[int]] = {}
        while waiting:
            side, channels = waiting.pop()
            seen = visited.setdefault(side, set())
            new = np.array([c for c in channels.tolist() if c not in seen], np.int64)
            if new.size:
                seen.update(new.tolist())
                waiting += self.follow(side, new)

    def follow(self, side: Side, channels: IntArray) -> Iterator[tuple[Side, IntArray]]:
        """Join channels with what every edge from here leads to; return the places reached."""
        node, name = side
        if reason := barrier(node.module):
            self.freeze(side, reason, channels)
            return
        here = self.cells.of(side, channels)
        for edge in node.dependencies:
            if self.name_of(node.module, edge.trigger) != name:
                continue
            goal = (edge.target, self.name_of(edge.target.module, edge.handler))
            try:
                sources, targets = _map(edge, channels)
            except IndexError:  # parts of a split that nothing uses, or that an LSTM's states were taken for
                self.freeze(side, "torch-pruning can't say where its channels go")
                continue
            size = self.size(goal[0].module, goal[1])
            if not targets.size:
                continue
            if reason := barrier(goal[0].module):
                self.freeze(side, reason, sources)
            elif size == 1 and len(channels) > 1:
                self.freeze(goal, "its one channel meets many")
            elif int(targets.min()) < 0 or int(targets.max()) >= (self.widest if size is None else size):
                self.freeze(side, "it meets an axis of another length", sources)
                self.freeze(goal, "it meets an axis of another length")
            else:
                self.cells.unite(here[np.searchsorted(channels, sources)], self.cells.of(goal, targets))
                yield goal, np.unique(targets)

    def all_of(self, side: Side) -> IntArray:
        """Return the cells of all channels of a side."""
        known = len(self.cells.numbers.get(side, ()))
        return self.cells.of(side, np.arange(max(self.size(side[0].module, side[1]) or 0, known)))

    def freeze(self, side: Side, reason: str, channels: IntArray | None = None) -> None:
        self.cells.freeze(self.all_of(side) if channels is None else self.cells.of(side, channels), reason)

    def size(self, module: Any, side: str) -> int | None:
        pruner = self.graph.get_pruner_of_module(module)
        if isinstance(module, nn.Parameter):
            pruner.pruning_dim = self.graph.module2node[module].pruning_dim
        found = pruner.get_out_channels(module) if side == "out" else pruner.get_in_channels(module)
        return None if found is None or isinstance(module, tp.ops._OutputOp) else int(found)

    def side(self, node: Any, name: str) -> Side:
        pruner = self.graph.get_pruner_of_module(node.module)
        return (
            node,
            self.name_of(node.module, pruner.prune_in_channels if name == "in" else pruner.prune_out_channels),
        )

    def name_of(self, module: Any, function: Any) -> str:
        # Norms and operations have one side only: what goes in comes out.
        return "out" if function == self.graph.get_pruner_of_module(module).prune_out_channels else "in"


def barrier(module: Any) -> str | None:
    """Return why channels can't be followed through a node of the graph, None where they can."""
    if getattr(module, "is_partial", False):
        return "a concatenation with the network's input can't be followed"
    if isinstance(module, tp.ops._ElementWiseOp):
        name = str(module._grad_fn)
        return (
            None
            if TRANSPARENT.fullmatch(name)
            else f"operation {re.sub(r'Backward[0-9]*', '', name)} can't be followed"
        )
    return why_frozen(module) if isinstance(module, nn.Module) else None


def _takes_input(node: Any) -> bool:
    # The network's input needs no gradient, so autograd has nothing where it comes in.
    return not _is_of_weights(node) and all(
        _is_of_weights(i) and not isinstance(i.module, nn.Embedding) for i in node.inputs
    )


def _is_of_weights(node: Any) -> bool:
    # A linear layer's transposed weight is a node of its own, and so is PReLU's; an embedding's input has no channels.
    return not node.inputs and all(function is not None for function, _ in node.grad_fn.next_functions)


def _map(edge: Any, channels: IntArray) -> tuple[IntArray, IntArray]:
    """Return the channels that an edge carries on, and where each arrives."""
    if edge.index_mapping == [None, None]:
        return channels, channels
    pairs = [tp._helpers._HybridIndex(idx=c, root_idx=c) for c in channels.tolist()]
    for mapping in edge.index_mapping:
        pairs = pairs if mapping is None else mapping(pairs)
    return np.array([p.root_idx for p in pairs], np.int64), np.array([p.idx for p in pairs], np.int64)


def _compile(twin: nn.Module, walk: _Walk) -> Labels:
    cells = walk.cells
    names = {id(tensor): name for name, tensor in reversed(list(_state(twin)))}
    homes: dict[Axis, list[IntArray]] = {}
    sides = [(node, side, numbers) for (node, side), numbers in cells.numbers.items()]
    for node, side, numbers in sides:
        for tensor, axis in _axes(node, side):
            if tensor is not None and len(numbers) == tensor.shape[axis]:
                homes.setdefault((names[id(tensor)], axis), []).append(numbers)
            elif tensor is not None:
                cells.freeze(numbers[numbers != NEVER], "it meets an axis of another length")
    for first, *others in homes.values():
        for other in others:  # tied names, and modules that are used twice
            cells.unite(first, other)
    unit, why = cells.components()
    labels = Labels()
    for home, (first, *_) in homes.items():
        found = np.where(first == NEVER, NEVER, unit[first])
        dead = np.isin(found, list(why))
        if dead.any():
            labels.reasons[home] = why[int(found[dead][0])]
        labels.axes[home] = np.where(dead, NEVER, found)
    for path, module in twin.named_modules():
        for local, tensor in module._parameters.items():
            name = names.get(id(tensor), "")
            if name == f"{path}.{local}".lstrip(".") and not any(
                (name, axis) in labels.axes for axis in range(tensor.dim())
            ):
                labels.axes[name, 0] = np.full(tensor.shape[0] if tensor.dim() else 0, NEVER)
                labels.reasons[name, 0] = why_frozen(module) or "no channel that could be followed leads to it"
    for node, side, _ in sides:
        for tensor, axis in _axes(node, side) if side == "out" else ():
            if tensor is not None:
                labels.output_axis[names[id(tensor)]] = axis
    return labels


def _axes(node: Any, side: str) -> Iterator[tuple[torch.Tensor | None, int]]:
    if isinstance(node.module, nn.Parameter):
        yield node.module, node.pruning_dim
    elif isinstance(node.module, nn.Module):
        own = {**node.module._parameters, **node.module._buffers}  # a parametrized weight is none of them
        yield from ((own.get(local), axis) for local, axis in axes_of_side(node.module, side))


def _state(twin: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    yield from twin.named_parameters(remove_duplicate=False)
    yield from twin.named_buffers(remove_duplicate=False)
