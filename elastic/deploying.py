"""Deploying: networks as files that other programs run, each checked, with its size and its time.

A file is written by `exporting.export`, which compares it with torch; what is timed afterwards is what was written.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from elastic.errors import ExportError, OutputExists, PathError, UnknownName
from elastic.exporting import SUFFIXES, Exported, check_format, export, loaded_program
from elastic.latency.runtimes import GRAPHS, threads_of
from elastic.measuring import Call, Latency, clock_on, in_turns, latency_of

Progress = Callable[[int, int], None]  # files that are written, all of them

PROGRAM = "torch-export"
RUN_BY: Mapping[str, tuple[str, ...]] = {
    "onnx": tuple(GRAPHS),
    PROGRAM: (PROGRAM,),
}  # formats that run, and what runs them


@dataclass(frozen=True)
class Deployed:
    """One network as one file, and how long a run takes by each runtime that is installed."""

    network: str
    file: Exported
    latencies: Mapping[str, Latency]


def deploy(
    networks: Mapping[str, nn.Module],
    example: Tensor,
    folder: str | Path,
    *,
    formats: Sequence[str] = ("onnx",),
    threads: int | None = None,
    runs: int = 30,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> list[Deployed]:
    """Write each network in each format and return what was written, and how long it takes on the example as it is.

    Files are named by the networks; the folder is made where there is none. All that was written runs in turns, by
    onnxruntime and OpenVINO where they are installed, or as a program of torch.export. A state dict is not run.

    Raises UnknownName if there is nothing to write, OutputExists before anything is written, ExportError if a runtime
    can't run what was written, PathError for a folder that can't be made, and what `export` raises; what was written
    until then stays, and is whole.
    """
    paths = _paths(networks, Path(folder), formats, overwrite)
    threads = torch.get_num_threads() if threads is None else threads
    written: dict[tuple[str, str], Exported] = {}
    for name, format in paths:
        path = paths[name, format]
        written[name, format] = export(networks[name], example, path, format, overwrite=overwrite)  # type: ignore[arg-type]
        if progress is not None:
            progress(len(written), len(paths))
    with threads_of(threads):
        calls = {
            (*key, runtime): _call(done, runtime, example, threads)
            for key, done in written.items()
            for runtime in RUN_BY.get(done.format, ())
            if runtime == PROGRAM or find_spec(runtime) is not None
        }
        seconds = in_turns(calls, runs=runs, clock=clock_on(example.device)) if calls else {}
    found: dict[tuple[str, str], dict[str, Latency]] = {key: {} for key in written}
    for (name, format, runtime), each in seconds.items():
        found[name, format][runtime] = latency_of(each)
    return [Deployed(name, done, found[name, format]) for (name, format), done in written.items()]


def _paths(
    networks: Mapping[str, nn.Module], folder: Path, formats: Sequence[str], overwrite: bool
) -> dict[tuple[str, str], Path]:
    """Return where each network is to be written in each format, in a folder that is there now."""
    if not networks or not formats:
        raise UnknownName("there is nothing to write; give a network and a format at least")
    for format in formats:
        check_format(format)
    if len({SUFFIXES[format] for format in formats}) < len(formats):
        raise UnknownName(f"formats {', '.join(formats)} would write files of the same names; give each a folder")
    plain: dict[str, str] = {}
    for number, name in enumerate(networks):
        text = re.sub(r"[^\w.,=%+-]", "_", name).lstrip(".") or "network"
        plain[name] = text if text not in plain.values() else f"{text}-{number}"
    paths = {(name, format): folder / f"{text}{SUFFIXES[format]}" for name, text in plain.items() for format in formats}
    there = [path for path in paths.values() if path.exists()]
    if there and not overwrite:
        raise OutputExists(f"{there[0]} exists; choose another folder, or pass overwrite (--overwrite)")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as reason:
        raise PathError(f"can't make the folder {folder}: {reason.strerror}; name another") from reason
    return paths


def _call(done: Exported, runtime: str, example: Tensor, threads: int) -> Call:
    """Return what runs a file once."""
    try:
        if runtime != PROGRAM:
            return GRAPHS[runtime](done.path.read_bytes(), example, threads)
        program: Any = loaded_program(done.path)
    except Exception as reason:
        why = f"{type(reason).__name__}: {str(reason).partition(chr(10))[0][:200]}"
        raise ExportError(f"{runtime} can't run {done.path}, which agrees with torch: {why}") from reason

    @torch.inference_mode()
    def call() -> object:
        return program(example)

    return call
