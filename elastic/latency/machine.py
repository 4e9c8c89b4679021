"""Machine: what a latency depends on beside the network, so that times are not taken for those of another machine."""

import os
import platform
from importlib import metadata
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict

from elastic.latency.runtimes import PACKAGES


class Machine(BaseModel):
    """The device, and the version of the runtime that was measured on it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    processor: str
    cores: int
    version: str  # of the package that runs the network

    def __str__(self) -> str:
        return f"{self.processor}, {self.cores} cores, {self.version}"


def this_machine(runtime: str, device: str = "cpu") -> Machine:
    """Return the machine that this process runs on, by the GPU where that is the device."""
    package = PACKAGES[runtime]
    is_gpu = device == "cuda" and torch.cuda.is_available()
    processor = torch.cuda.get_device_name() if is_gpu else _processor()
    return Machine(processor=processor, cores=os.cpu_count() or 1, version=f"{package} {metadata.version(package)}")


def _processor() -> str:
    told = Path("/proc/cpuinfo")
    lines = told.read_text(encoding="utf-8", errors="replace").splitlines() if told.exists() else []
    names = (line.partition(": ")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()
