"""Benching: networks by runtimes, all in turns in one run, so that all see the same machine."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from elastic.errors import UnknownName
from elastic.latency.resources import Meter, joules_of, meter_of, peak_bytes
from elastic.latency.runtimes import check_runtime, prepare, threads_of
from elastic.measuring import Call, Clock, Latency, clock_on, in_turns, latency_of

Progress = Callable[[int, int], None]  # networks that are prepared on a runtime, all of them

ENERGY_SECONDS = 1.0  # that energy is counted over


@dataclass(frozen=True)
class Benched:
    """One network on one runtime.

    `peak_bytes` is by how much memory rises at most while it is prepared and first run: weights that a runtime copies
    are in it, those of an eager network were there before. `joules` are of one run, with all else that the device did.
    """

    network: str
    runtime: str
    latency: Latency
    peak_bytes: int | None
    joules: float | None


def bench(
    networks: Mapping[str, nn.Module],
    example: Tensor,
    *,
    runtimes: Sequence[str] = ("eager",),
    threads: int | None = None,
    runs: int = 30,
    at_least_seconds: float = 0.3,
    clock: Clock | None = None,
    meter: Meter | None = None,
    progress: Progress | None = None,
) -> list[Benched]:
    """Return how long each network takes on each runtime, on the example as it is; networks are put in eval mode.

    More than `runs` turns are made until they took `at_least_seconds` for each. `threads` are torch's own number by
    default. `meter` counts joules; by default the device's own counter, if it has one.

    Raises UnknownName for a runtime, or if there is nothing to measure; RuntimeMissing, DataError, and what the
    exporter raises.
    """
    if not networks or not runtimes:
        raise UnknownName("there is nothing to measure; give a network and a runtime at least")
    for runtime in runtimes:
        check_runtime(runtime, example)
    threads = torch.get_num_threads() if threads is None else threads
    meter = meter_of(example.device) if meter is None else meter
    calls: dict[tuple[str, str], Call] = {}
    peaks: dict[tuple[str, str], int | None] = {}
    with threads_of(threads):
        for name, network in networks.items():
            for runtime in runtimes:
                key, begin = (name, runtime), partial(_begun, network, example, runtime, threads)
                calls[key], peaks[key] = peak_bytes(begin, example.device)
                if progress is not None:
                    progress(len(calls), len(networks) * len(runtimes))
        seconds = in_turns(calls, runs=runs, at_least_seconds=at_least_seconds, clock=clock or clock_on(example.device))
        joules = {key: _joules(call, statistics.median(seconds[key]), meter) for key, call in calls.items()}
    return [Benched(*key, latency_of(found), peaks[key], joules[key]) for key, found in seconds.items()]


def _begun(network: nn.Module, example: Tensor, runtime: str, threads: int) -> Call:
    call = prepare(network, example, runtime=runtime, threads=threads)
    call()
    return call


def _joules(call: Call, seconds: float, meter: Meter | None) -> float | None:
    return None if meter is None else joules_of(call, max(1, round(ENERGY_SECONDS / max(seconds, 1e-6))), meter)
