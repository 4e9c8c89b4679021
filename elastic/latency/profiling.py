"""Profiling: sub-networks are measured until the time of a new one is predicted before it is measured.

Each sub-network is really cut, and the time of each layer is taken within it: one network gives one point for every
layer at once, with caches as they are in use. As many are measured as the staircases need; the last ones are only
predicted, never fitted, and tell the error.
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from elastic import fingerprints
from elastic.allocation.sums import Sums
from elastic.errors import TargetError
from elastic.journal import Journal
from elastic.latency.inside import layers_with_weights, sites_of
from elastic.latency.machine import this_machine
from elastic.latency.predicting import Layer, widths_of_layers
from elastic.latency.runtimes import check_runtime, prepare, threads_of
from elastic.latency.sampling import SHARES, Role, draw_widths, levels_of
from elastic.latency.subnetworks import Subnetworks
from elastic.latency.table import LEAST, Header, Point, Table, resumed
from elastic.measuring import Clock
from elastic.modes import eval_mode
from elastic.plan import Plan
from elastic.roles import output_axes
from elastic.tracing import trace

Progress = Callable[[int, int], None]  # networks that are measured, networks in all

POINTS = 60  # networks that are fitted at most
CHECKS = 8  # networks that are only predicted
WINDOW = 10  # of the last networks the median error decides
RUNS = 15
REFERENCE = 1  # number of the network that all are measured beside: half as wide in every group


def profile(
    model: nn.Module,
    example: Tensor,
    *,
    runtime: str = "eager",
    threads: int | None = None,
    plan: Plan | None = None,
    path: str | Path | None = None,
    points: int = POINTS,
    checks: int = CHECKS,
    tolerance: float = 0.05,
    runs: int = RUNS,
    seconds: float | None = None,
    seed: int = 0,
    name: str = "",
    clock: Clock | None = None,
    progress: Progress | None = None,
) -> Table:
    """Return a table of how long the model's layers take on this machine over their widths; the model stays as it is.

    Sub-networks of the plan are cut and run on the example, as it is, by `runtime` on so many `threads` (torch's own
    number by default), each `runs` times after a warm-up. It ends when the median error of the last ten predictions,
    made before each was measured, is at most `tolerance`; or after `points` networks, or about so many `seconds`. Then
    `checks` further ones are measured, that are never fitted: `Table.errors`.

    Each network is measured in turns with the same reference, so that a machine that is slower for a while, by its
    clock or by what else runs, changes neither the table nor its errors. Where one thread runs,
    `clock=time.thread_time` counts that thread alone.

    With `path` each network is written there at once. If the file exists, what is in it is not measured again.

    Raises LatencyMismatch if the file is of something else, FileFormatError if it is no such file; UnknownName,
    RuntimeMissing or DataError for the runtime, and what `trace` raises.
    """
    check_runtime(runtime, example)
    if points < LEAST:
        raise TargetError(f"{points} networks are too few to fit anything; give at least {LEAST} points")
    known = trace(model, example[:1]) if plan is None else plan
    threads = torch.get_num_threads() if threads is None else threads
    with threads_of(threads):
        header = _header(model, example, known, runtime, threads, seed, name)
        journal, found = (None, []) if path is None else resumed(Path(path), header)
        reference = levels_of(known, draw_widths(known, "fit", REFERENCE, seed))
        networks = Subnetworks(
            model, example, known, reference=reference, runtime=runtime, threads=threads, runs=runs, clock=clock
        )
        run = _Run(networks, header, found, journal, progress, points + checks)
        begin = time.monotonic()
        while not _is_enough(run, points, tolerance):
            if seconds is not None and time.monotonic() - begin > seconds and len(run.of("fit")) >= LEAST:
                break
            run.measure("fit")
        while len(run.of("check")) < checks:
            run.measure("check")
    if progress is not None:
        progress(points + checks, points + checks)
    return Table(header, tuple(run.points))


class _Run:
    """What was measured so far, and what measures the next network."""

    def __init__(
        self,
        networks: Subnetworks,
        header: Header,
        points: list[Point],
        journal: Journal | None,
        progress: Progress | None,
        most: int,
    ) -> None:
        self.networks, self.header, self.points, self.journal = networks, header, points, journal
        self.progress, self.most = progress, most
        self.sums = Sums(networks.plan)
        self.places = widths_of_layers(header.layers, self.sums)

    def of(self, role: Role) -> list[Point]:
        return [point for point in self.points if point.role == role]

    def measure(self, role: Role) -> None:
        """Measure the next network of a role, and keep it."""
        number = len(self.of(role))
        levels = levels_of(self.networks.plan, draw_widths(self.networks.plan, role, number, self.header.seed))
        axes, multiplier = self.places
        widths = self.sums.lengths(levels == 0)[axes] * multiplier  # [layers, 3]
        is_predicted = role == "fit" and number >= max(LEAST, len(SHARES))
        before = Table(self.header, tuple(self.points))
        predicted = float(before.fitted.seconds(widths)) if is_predicted else None
        found = self.networks.measure(levels)
        whole = found.whole
        point = Point(
            role=role, number=number, seconds=whole.median, low=whole.low, high=whole.high, runs=whole.runs,
            reference=found.reference, widths=tuple((int(i), int(o), int(b)) for i, o, b in widths),
            inside=found.inside,
        )  # fmt: skip
        if predicted is not None:
            point = point.model_copy(update={"missed": predicted / before.steady(point) - 1})
        self.points.append(point)
        if self.journal is not None:
            self.journal.append(point)
        if self.progress is not None:
            self.progress(len(self.points), self.most)


def _is_enough(run: _Run, most: int, tolerance: float) -> bool:
    fitted = run.of("fit")
    errors = [abs(point.missed) for point in fitted if point.missed is not None]
    return len(fitted) >= most or (len(errors) >= WINDOW and statistics.median(errors[-WINDOW:]) <= tolerance)


def _header(model: nn.Module, example: Tensor, plan: Plan, runtime: str, threads: int, seed: int, name: str) -> Header:
    device = "cuda" if example.is_cuda else "cpu"
    return Header(
        name=name or type(model).__name__,
        plan=fingerprints.of_plan(plan),
        layers=layers_of(model, example, plan),
        shape=tuple(example.shape),
        dtype=str(example.dtype).removeprefix("torch."),
        runtime=runtime,
        device=device,
        machine=this_machine(runtime, device),
        threads=threads,
        seed=seed,
    )


def layers_of(model: nn.Module, example: Tensor, plan: Plan) -> tuple[Layer, ...]:
    """Return the layers with weights of the plan, in the order of their first call in a run of the model."""
    modules, transposed, found = layers_with_weights(model), output_axes(plan), {}
    with eval_mode(model):
        sites = sites_of(model, prepare(model, example))
    for site in sites:
        own = modules[site.layer].named_parameters(site.layer, recurse=False)
        names = [plan.aliases.get(name, name) for name, _ in sorted(own, key=lambda each: -each[1].numel())]
        weight = next((name for name in names if name in plan.tensors), None)
        if weight is None or site.layer in found:
            continue
        shape = plan.tensors[weight].shape
        out = transposed.get(weight, 0)
        made = site.outputs[1] if len(site.outputs) > 2 else site.outputs[-1]
        found[site.layer] = Layer(
            name=site.layer, weight=weight, shape=shape, inputs=1 - out if len(shape) > 1 else None, outputs=out,
            positions=max(1, int(np.prod(site.outputs)) // made),
        )  # fmt: skip
    return tuple(found.values())
