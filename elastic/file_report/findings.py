"""Findings: what is measured of the levels of a file on this machine, and under which conditions."""

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from elastic.checkpoint import load, load_state
from elastic.data import Metrics
from elastic.exporting import Format, check_format
from elastic.latency import Latency
from elastic.latency.machine import this_machine
from elastic.measuring import clock_on, in_turns, latency_of
from elastic.metadata import read_header
from elastic.proofs import prove_equal
from elastic.verifying import Networks, Proven, Told, verify_levels
from elastic.weights import read_weights

Measure = Callable[[nn.Module], Metrics]

RUNS, LEAST_SECONDS = 30, 0.3  # of each level


@dataclass(frozen=True)
class Findings:
    """One of each kind for every level, smallest first; none of a kind that was not asked for.

    `original` counts the tensors of the original weights, all of them bit for bit in the largest level.
    """

    accuracies: tuple[Metrics, ...] = ()
    latencies: tuple[Latency, ...] = ()
    proofs: tuple[Proven, ...] = ()
    exported: str = ""  # the format of the proofs
    original: int | None = None
    conditions: Mapping[str, Any] = field(default_factory=dict)


def find(
    path: str | Path,
    example: Tensor,
    *,
    measure: Measure | None = None,
    latency: bool = True,
    proofs: bool = True,
    to: Format = "onnx",
    against: str | Path | None = None,
    network: Networks | None = None,
    told: Told | None = None,
) -> Findings:
    """Return what was measured of every level of a file; options as of `report`.

    Raises what `load`, `verify_levels` and `prove_equal` raise.
    """
    check_format(to)
    header = read_header(path)
    of_level = network or partial(load, path, header=header)
    original = None if against is None else prove_equal(load_state(path), read_weights(against))
    proven = verify_levels(path, example, to=to, network=of_level, told=told) if proofs else ()
    networks = [of_level(number).float() for number in range(len(header.levels))] if latency or measure else []
    if latency and told is not None:
        told("measuring latency")
    return Findings(
        accuracies=tuple(map(measure, networks)) if measure is not None else (),
        latencies=_latencies(networks, example.float()) if latency else (),
        proofs=proven,
        exported=to if proofs else "",
        original=original,
        conditions=_conditions(example),
    )


@torch.inference_mode()
def _latencies(networks: Sequence[nn.Module], example: Tensor) -> tuple[Latency, ...]:
    calls = {number: partial(network.eval(), example) for number, network in enumerate(networks)}
    seconds = in_turns(calls, runs=RUNS, at_least_seconds=LEAST_SECONDS, clock=clock_on(example.device))
    return tuple(latency_of(found) for found in seconds.values())


def _conditions(example: Tensor) -> dict[str, Any]:
    """Return what latency depends on beside the network."""
    batch, *shape = example.shape
    return {
        "processor": this_machine("eager", example.device.type).processor,
        "device": str(example.device),
        "threads": torch.get_num_threads(),
        "batch": batch,
        "input": " × ".join(map(str, shape)),
        "precision": "float32, torch eager",
        "torch": torch.__version__,
        "Python": platform.python_version(),
        "system": platform.system(),
        "load when it was done": _load(),
    }


def _load() -> str:
    """Return how many threads wanted to run in the last minute, on how many cores, where the system tells."""
    busy = f"{os.getloadavg()[0]:.1f} threads on " if hasattr(os, "getloadavg") else ""
    return f"{busy}{os.cpu_count()} cores"
