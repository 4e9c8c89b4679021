"""Resources: what a run takes beside time: memory at its peak, and energy where the device counts it."""

import ctypes
import gc
import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch

Made = TypeVar("Made")
Meter = Callable[[], float]  # joules so far

COUNTERS = Path("/sys/class/powercap")  # of processors, where Linux shows them
PROCESS = Path("/proc/self")


def peak_bytes(action: Callable[[], Made], device: torch.device) -> tuple[Made, int | None]:
    """Return what the action returns, and by how many bytes memory in use rises at most; None where nothing tells."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        made = action()
        return made, torch.cuda.max_memory_allocated(device) - before
    if not (PROCESS / "clear_refs").exists():
        return action(), None
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)  # else what is freed and kept would hide the rise
    (PROCESS / "clear_refs").write_text("5")  # the peak begins anew
    before = _status("VmRSS")
    made = action()
    return made, max(0, _status("VmHWM") - before)


def meter_of(device: torch.device, counters: Path = COUNTERS) -> Meter | None:
    """Return the counter of the energy that a device took, with all that runs on it; None where there is none."""
    if device.type == "cuda":
        return _meter_of_gpu(device)
    files = [each / "energy_uj" for each in sorted(counters.glob("intel-rapl:*")) if each.name.count(":") == 1]
    if not files or not all(os.access(file, os.R_OK) for file in files):
        return None
    return lambda: sum(int(file.read_text()) for file in files) * 1e-6


def joules_of(action: Callable[[], object], runs: int, meter: Meter) -> float | None:
    """Return the joules of one run, the mean of so many; None where the counter began anew meanwhile."""
    before = meter()
    for _ in range(runs):
        action()
    taken = meter() - before
    return taken / runs if taken > 0 else None


def _status(key: str) -> int:
    lines = (PROCESS / "status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(key + ":")).split()[1])


def _meter_of_gpu(device: torch.device) -> Meter | None:
    if importlib.util.find_spec("pynvml") is None:
        return None
    import pynvml

    pynvml.nvmlInit()
    number = torch.cuda.current_device() if device.index is None else device.index
    handle: Any = pynvml.nvmlDeviceGetHandleByIndex(number)

    def joules() -> float:
        torch.cuda.synchronize(device)
        return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) * 1e-3

    return joules
