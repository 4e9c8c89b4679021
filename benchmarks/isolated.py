"""Measure one model in a process of its own; shared by the benchmarks that go through a list of models.

A fresh interpreter for each model, one thread, a bound on its memory and on its time: what one model leaves behind or
breaks is not seen by the next. The process reports after every stage, so one that is killed still tells how far it got.
"""

import ctypes
import gc
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
GIB = 1 << 30
PATIENCE = 20.0  # seconds; what takes longer is repeated once only

Record = dict[str, Any]
Stages = Iterable[Record]  # the whole record so far, again after each stage


class WrongAnswer(Exception):
    """What ran to its end and is not what it has to be."""


WRONG = ("WrongAnswer", "ProofFailed")  # by name: who only watches the processes needs no torch


def isolated(arguments: Sequence[str], *, seconds: float, memory: int) -> Record:
    """Return what a benchmark, started with these arguments, reported last; `died` says how it ended early.

    `memory` is in GiB, and bounds what the process may allocate.
    """
    with tempfile.TemporaryDirectory() as folder:
        path, start = Path(folder) / "record.json", time.perf_counter()
        command = [sys.executable, *arguments, "--report", str(path), "--memory", str(memory)]
        try:
            done = subprocess.run(
                command, env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=seconds, capture_output=True, text=True
            )
            died = f"{_end(done.returncode)}: {_last_line(done.stderr)}" if done.returncode else None
        except subprocess.TimeoutExpired:
            died = f"stopped after {seconds:.0f} s"
        record: Record = json.loads(path.read_text()) if path.exists() else {}
    record["wall_seconds"] = round(time.perf_counter() - start, 1)
    return record | ({"died": died} if died else {})


def report(stages: Callable[[], Stages], path: Path, memory: int) -> None:
    """Be the process that is measured: bound its memory, use one thread, and write the record after every stage."""
    import torch

    resource.setrlimit(resource.RLIMIT_DATA, (memory * GIB, memory * GIB))
    torch.set_num_threads(1)
    for record in stages():
        fresh = path.with_suffix(".part")
        fresh.write_text(json.dumps(record))
        fresh.replace(path)


def seconds_of(action: Callable[[], object]) -> float:
    """Return how long the action takes."""
    start = time.perf_counter()
    result = action()
    seconds = time.perf_counter() - start
    del result  # taking it down is not counted
    return seconds


def seconds_again(action: Callable[[], object], first: float) -> list[float]:
    """Return the seconds of three more runs, of one more if the first took long."""
    return [seconds_of(action) for _ in range(3 if first < PATIENCE else 1)]


def extra_memory(action: Callable[[], object]) -> float:
    """Return by how many MB the resident memory rises at most while the action runs."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)  # else what earlier runs left in malloc's hands would hide the rise
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    result = action()
    peak = _status("VmHWM")
    del result
    return (peak - before) * 1024 / 1e6


def median(values: Sequence[float]) -> float:
    """Return the median, or not-a-number of nothing."""
    return statistics.median(values) if values else float("nan")


def failure(stage: str, reason: BaseException) -> Record:
    """Return what went wrong in a stage, in a line, and where: the last calls, ours and those of the model."""
    frames = traceback.extract_tb(reason.__traceback__)
    where = [f"{_short(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames[-6:]]
    first = next(iter(str(reason).splitlines()), "")
    what = f"{type(reason).__name__}: {first[:300]}".rstrip(": ")
    return {"stage": stage, "what": what, "where": where, "is_wrong": type(reason).__name__ in WRONG}


def _status(key: str) -> int:
    """Return a line of this process's status, in KiB."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key + ":"))
    return int(line.split()[1])


def _end(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"exit {code}"


def _last_line(text: str) -> str:
    return next((line.strip()[:200] for line in reversed(text.splitlines()) if line.strip()), "no message")


def _short(path: str) -> str:
    return path.removeprefix(f"{ROOT}/").rpartition("site-packages/")[2]
