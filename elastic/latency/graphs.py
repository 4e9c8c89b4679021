"""Graphs: an exported network, cut as its state dict would be: exporting each sub-network anew takes half a minute.

The exporter folds norms, drops what is twice and names what it keeps as the state dict does, so the labels of the plan
tell which positions of an initializer go. What they don't tell are a folded norm's bias, which is the convolution's;
the number of groups of a convolution; and the width that a flatten was traced with.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from elastic.latency.runtimes import onnx_bytes
from elastic.plan import Axis, LevelArray, Plan

FOLDED = "_bias"  # what the exporter calls a bias that comes of folding a norm into a weight, behind the weight's name
WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")  # what multiplies by a weight


@dataclass(frozen=True, eq=False)
class Graph:
    """A whole network of ONNX, and where its initializers are in the plan."""

    whole: Any  # ModelProto
    plan: Plan

    @cached_property
    def initializers(self) -> Mapping[str, np.ndarray]:
        """The values of the initializers, by name."""
        from onnx import numpy_helper

        return {each.name: numpy_helper.to_array(each) for each in self.whole.graph.initializer}

    @cached_property
    def homes(self) -> Mapping[str, Mapping[int, Axis]]:
        """For each initializer that can be cut, the axis of the plan that each axis of it is."""
        found: dict[str, dict[int, Axis]] = {}
        for name, values in self.initializers.items():
            weight, folded = name, name.endswith(FOLDED) and name not in self.plan.tensors
            if folded:
                weight = name.removesuffix(FOLDED)
            if weight not in self.plan.tensors:
                continue
            shape = self.plan.tensors[weight].shape
            turned = not folded and values.shape != shape and values.shape == shape[::-1]
            axes = {0: 0} if folded else {axis: len(shape) - 1 - axis if turned else axis for axis in range(len(shape))}
            found[name] = {axis: (weight, own) for axis, own in axes.items() if (weight, own) in self.plan.axes}
        return found

    @cached_property
    def layers(self) -> list[str]:
        """The names of the weights that nodes multiply by, in the order of the graph."""
        return [name for node in self.whole.graph.node if (name := self._weight(node))]

    def cut(self, levels: LevelArray, level: int = 0) -> bytes:
        """Return the graph of a level of every unit [units]."""
        from onnx import numpy_helper

        stays = np.append(levels <= level, True)  # label -1 picks the last
        graph = copy.deepcopy(self._without_values)
        kept: dict[str, np.ndarray] = {}
        for name, values in self.initializers.items():
            for axis, home in self.homes.get(name, {}).items():
                values = np.compress(stays[self.plan.axes[home]], values, axis)
            kept[name] = values
        for node in graph.graph.node:
            _set_flattened(node, kept)
            _set_groups(node, self.initializers, kept)
        graph.graph.initializer.extend(numpy_helper.from_array(np.ascontiguousarray(v), n) for n, v in kept.items())
        found: bytes = graph.SerializeToString()
        return found

    @cached_property
    def _without_values(self) -> Any:
        bare = type(self.whole)()
        bare.CopyFrom(self.whole)
        del bare.graph.initializer[:]
        del bare.graph.value_info[:]  # widths of the whole network
        return bare

    def _weight(self, node: Any) -> str | None:
        named = node.input[1] if node.op_type in WEIGHTED else ""
        return named if named in self.homes else None


def graph_of(model: nn.Module, example: Tensor, plan: Plan) -> Graph:
    """Return the graph of a network's shape: norms have values of their own, so that none are taken for one another."""
    import onnx

    model = copy.deepcopy(model).eval().float()
    with torch.no_grad():
        for tensor in [*model.parameters(), *model.buffers()]:
            if tensor.dim() == 1 and tensor.is_floating_point():
                tensor.uniform_(0.5, 1.5)
    return Graph(onnx.load_from_string(onnx_bytes(model, example)), plan)


def _set_flattened(node: Any, kept: dict[str, np.ndarray]) -> None:
    if node.op_type != "Reshape" or len(kept.get(node.input[1], ())) != 2:
        return
    kept[node.input[1]] = np.array([0, -1])  # the batch as it is, and whatever width is flattened
    for attribute in node.attribute:
        if attribute.name == "allowzero":
            attribute.i = 0


def _set_groups(node: Any, whole: Mapping[str, np.ndarray], kept: Mapping[str, np.ndarray]) -> None:
    if node.op_type != "Conv" or node.input[1] not in kept:
        return
    for attribute in node.attribute:
        if attribute.name == "group" and attribute.i > 1:
            before, after = len(whole[node.input[1]]), len(kept[node.input[1]])
            attribute.i = after * attribute.i // before
