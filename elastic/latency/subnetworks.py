"""Sub-networks: measures one after the other, the whole and its layers in turns.

A runtime that takes graphs gets one that was exported once and is cut like a state dict; where that doesn't run, each
network is exported by itself.
"""

import logging
import statistics
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor, nn

from elastic.cutting import cut
from elastic.fitting import fitted
from elastic.latency.graphs import Graph, graph_of
from elastic.latency.inside import Inside, Marks, Profiled, Seconds, sites_of
from elastic.latency.runtimes import GRAPHS, onnx_bytes, prepare
from elastic.measuring import WARM_UP, Call, Clock, Latency, clock_on, in_turns, latency_of
from elastic.plan import LevelArray, Plan

log = logging.getLogger(__name__)

LEAST_SECONDS = 0.1  # that each call is run for


@dataclass(frozen=True)
class Measured:
    """One network: the whole, its layers where the runtime tells them, and the reference in the same turns."""

    whole: Latency
    inside: Seconds
    reference: float  # seconds, median


class Subnetworks:
    """A network of which sub-networks are measured, by one runtime, each in turns with the same reference.

    A machine is faster at one time than at another, by its clock and by what else runs: what the reference takes tells.
    """

    def __init__(
        self,
        model: nn.Module,
        example: Tensor,
        plan: Plan,
        *,
        reference: LevelArray,
        runtime: str,
        threads: int,
        runs: int,
        clock: Clock | None,
    ) -> None:
        self.model, self.example, self.plan = model, example, plan
        self.runtime, self.threads, self.runs = runtime, threads, runs
        self.clock = clock_on(example.device) if clock is None else clock
        self._levels, self._can_cut = reference, True

    def call(self, levels: LevelArray) -> Call:
        """Return what runs the network of level 0 once."""
        return self._prepared(levels, watched=False)[0]

    def measure(self, levels: LevelArray) -> Measured:
        """Return what the network of level 0 takes."""
        call, inside = self._prepared(levels, watched=True)
        calls = {"reference": self.reference, "whole": call}
        if inside is not None:
            calls["inside"] = inside.call
        found = in_turns(calls, runs=self.runs, at_least_seconds=LEAST_SECONDS, clock=self.clock)
        layers = {} if inside is None else inside.seconds(WARM_UP)
        return Measured(latency_of(found["whole"]), layers, statistics.median(found["reference"]))

    @cached_property
    def reference(self) -> Call:
        """What runs the reference once."""
        return self.call(self._levels)

    def _prepared(self, levels: LevelArray, watched: bool) -> tuple[Call, Inside | None]:
        state = cut(self.model.state_dict(), self.plan, levels)
        network = fitted(self.model, state, self.plan.sizes(levels)).eval()
        eager = prepare(network, self.example)
        if self.runtime == "eager":
            return eager, Marks(network, eager, self.clock) if watched else None
        if self.runtime not in GRAPHS:
            return prepare(network, self.example, runtime=self.runtime, threads=self.threads), None
        graph, call = self._called(levels, network)
        if self.runtime != "onnxruntime" or not watched:
            return call, None
        return call, Profiled(graph, self.example, sites_of(network, eager), self.threads)

    def _called(self, levels: LevelArray, network: nn.Module) -> tuple[bytes, Call]:
        if self._can_cut:
            try:
                graph = self._graph.cut(levels)
                call = GRAPHS[self.runtime](graph, self.example, self.threads)
                call()
                return graph, call
            except Exception as reason:  # runtimes have exceptions of their own
                self._can_cut = False
                why = str(reason).partition("\n")[0][:200]
                log.warning("the exported graph can't be cut, so each network is exported by itself: %s", why)
        graph = onnx_bytes(network, self.example)
        return graph, GRAPHS[self.runtime](graph, self.example, self.threads)

    @cached_property
    def _graph(self) -> Graph:
        return graph_of(self.model, self.example, self.plan)
