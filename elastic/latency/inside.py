"""Inside: how long each layer takes within a whole network, where caches are as they are when it is used.

A layer is a module with weights of its own, and its time goes on until the next one begins: activations, sums, pools
and Python's own time belong to the layer that they follow. So the times of all layers are the network's, and nothing
is left over. What comes before the first layer has the name "".
"""

import json
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn

from elastic.latency.runtimes import onnx_session, session_call
from elastic.measuring import Call, Clock

Seconds = dict[str, float]  # by the layer's name
Shape = tuple[int, ...]

NODE, RUN = "Node", "model_run"  # what onnxruntime's profile calls one node's time, and one run's
WEIGHTED = ("Conv", "Gemm", "MatMul")  # what is in the name of a node that multiplies by a weight
BLOCKS = (1, 8, 16)  # channels that onnxruntime pads widths to


@dataclass(frozen=True)
class Site:
    """One call of a layer: shapes of what it gets and makes, and whether it is a product, not a norm."""

    layer: str
    inputs: Shape
    outputs: Shape
    is_product: bool = True


def layers_with_weights(model: nn.Module) -> dict[str, nn.Module]:
    """Return the modules that have parameters of their own, by their paths; the network itself is none."""
    return {path: each for path, each in model.named_modules() if path and any(True for _ in each.parameters(False))}


def sites_of(model: nn.Module, call: Call) -> list[Site]:
    """Return the calls of layers in one run of the network, in their order."""
    found: list[Site] = []
    layers = layers_with_weights(model)

    def note(path: str, given: Any, made: Any) -> None:
        if given and isinstance(given[0], Tensor) and isinstance(made, Tensor):
            is_product = any(each.dim() > 1 for each in layers[path].parameters(False))
            found.append(Site(path, tuple(given[0].shape), tuple(made.shape), is_product))

    hooks = [
        module.register_forward_hook(lambda _, given, made, path=path: note(path, given, made))
        for path, module in layers.items()
    ]
    try:
        call()
    finally:
        for hook in hooks:
            hook.remove()
    return found


class Inside(Protocol):
    """A network that tells how long its layers took."""

    def call(self) -> object:
        """Run the network once."""

    def seconds(self, skipped: int) -> Seconds:
        """Return the median seconds of each layer over all runs but the first; empty if it can't be told."""


class Marks:
    """An eager network: the clock at the beginning of every layer is taken note of."""

    def __init__(self, model: nn.Module, call: Call, clock: Clock) -> None:
        self._layers, self._call, self._clock = layers_with_weights(model), call, clock
        self._runs: list[Seconds] = []

    def call(self) -> object:
        """Run the network once."""
        found: list[tuple[str, float]] = []
        clock, note = self._clock, found.append
        hooks = [
            module.register_forward_pre_hook(lambda *_, path=path: note((path, clock())))
            for path, module in self._layers.items()
        ]
        try:
            note(("", clock()))
            made = self._call()
            note(("", clock()))
        finally:
            for hook in hooks:
                hook.remove()
        total: Seconds = defaultdict(float)
        for (path, begin), (_, end) in pairwise(found):
            total[path] += end - begin
        self._runs.append(total)
        return made

    def seconds(self, skipped: int) -> Seconds:
        """Return the median seconds of each layer over all runs but the first."""
        return medians(self._runs[skipped:])


class Profiled:
    """A session of onnxruntime: its own profile tells the time of each node.

    A node that multiplies by a weight is the next site of these shapes. What is fused into it, and what follows it, is
    the layer's.
    """

    def __init__(self, graph: bytes, example: Tensor, sites: Sequence[Site], threads: int) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._session = onnx_session(graph, threads, profile=str(Path(self._folder.name) / "profile"))
        self.call, self._sites = session_call(self._session, example), sites

    def seconds(self, skipped: int) -> Seconds:
        """Return the median seconds of each layer over all runs but the first; this ends the profile."""
        with self._folder:
            events = json.loads(Path(self._session.end_profiling()).read_bytes())
        return seconds_in_profile(events, self._sites, skipped)


def seconds_in_profile(events: Sequence[Mapping[str, Any]], sites: Sequence[Site], skipped: int) -> Seconds:
    """Return the median seconds of each layer over runs of a profile but the first; empty if a node fits no site."""
    nodes = [event for event in events if event.get("cat") == NODE and event["name"].endswith("_kernel_time")]
    runs = []
    for run in [event for event in events if event["name"] == RUN][skipped:]:
        inside = [node for node in nodes if run["ts"] <= node["ts"] <= run["ts"] + run["dur"]]
        if (found := _in_one_run(sorted(inside, key=lambda node: int(node["ts"])), sites)) is None:
            return {}
        runs.append(found)
    return medians(runs)


def medians(runs: Sequence[Seconds]) -> Seconds:
    """Return the median of each layer over runs."""
    return {layer: statistics.median(run[layer] for run in runs) for layer in runs[0]} if runs else {}


def _in_one_run(nodes: Sequence[Mapping[str, Any]], sites: Sequence[Site]) -> Seconds | None:
    left, layer = [site for site in sites if site.is_product], ""
    total: Seconds = defaultdict(float, {"": 0.0})
    for node in nodes:
        told = node["args"]
        if any(kind in told["op_name"] for kind in WEIGHTED):
            site = next((site for site in left if _fits(site, told)), None)
            if site is not None:
                left.remove(site)
                layer = site.layer
            elif not any(_fits(site, told) for site in sites):  # else a norm that the runtime made a convolution
                return None
        total[layer] += node["dur"] * 1e-6
    return dict(total)


def _fits(site: Site, told: Mapping[str, Any]) -> bool:
    """Return whether a node has the shapes of a site, whose channels may be padded."""
    given, made = (_shape(told[key]) for key in ("input_type_shape", "output_type_shape"))
    return given in _padded(site.inputs) and made in _padded(site.outputs)


def _shape(told: Sequence[Mapping[str, Sequence[int]]]) -> Shape:
    return tuple(next(iter(told[0].values()))) if told else ()


def _padded(shape: Shape) -> set[Shape]:
    if len(shape) < 2:
        return {shape}
    return {(shape[0], -(-shape[1] // block) * block, *shape[2:]) for block in BLOCKS}
