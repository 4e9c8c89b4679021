"""Runtimes: what runs a network. Each is one function `(model, example, threads) -> call`, and a call is one run.

All run on as many threads as they are given, while `threads_of` holds: torch has one number for the whole process. What
onnxruntime and OpenVINO get is the graph that `elastic export` writes.
"""

import contextlib
import importlib.util
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from elastic.errors import DataError, RuntimeMissing, UnknownName
from elastic.exporting import write_onnx
from elastic.measuring import Call

MANY = 1 << 20  # compilations of one function


class Runtime(Protocol):
    """What prepares a network in eval mode to be run again and again on one example, on so many threads."""

    def __call__(self, model: nn.Module, example: Tensor, threads: int) -> Call:
        """Return what runs the network once."""


def prepare(model: nn.Module, example: Tensor, *, runtime: str = "eager", threads: int = 1) -> Call:
    """Return what runs the network once, on the example, in eval mode; call it while `threads_of(threads)` holds.

    Raises UnknownName for a runtime, RuntimeMissing if it isn't installed, DataError if it can't run on the example's
    device, and what the exporter raises.
    """
    check_runtime(runtime, example)
    return RUNTIMES[runtime](model.eval(), example, threads)


def check_runtime(runtime: str, example: Tensor | None = None) -> None:
    """Raise UnknownName for a runtime that there isn't, RuntimeMissing or DataError for one that can't be used."""
    if runtime not in RUNTIMES:
        raise UnknownName(f"unknown runtime {runtime!r}; known: {', '.join(RUNTIMES)}")
    package = PACKAGES[runtime]
    if importlib.util.find_spec(package) is None:
        raise RuntimeMissing(f"runtime {runtime} needs {package}, which isn't installed; pip install {package}")
    if example is not None and example.device.type != "cpu" and package != "torch":
        raise DataError(f"runtime {runtime} runs on the CPU here, the example is on {example.device}; use eager")


@contextlib.contextmanager
def threads_of(threads: int) -> Iterator[None]:
    """Change torch's number of threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def onnx_bytes(model: nn.Module, example: Tensor) -> bytes:
    """Return the network as `elastic export` writes it, with its own batch size left open."""
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        path = Path(folder) / "network.onnx"
        write_onnx(model, example, path)
        return path.read_bytes()


def onnx_session(graph: bytes, threads: int, *, profile: str | None = None) -> Any:
    """Return onnxruntime's session of a graph; with `profile`, the beginning of a path, one that times its nodes."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    # Threads that go on spinning after a run would take cores from the network whose turn is next.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if profile is not None:
        options.enable_profiling, options.profile_file_prefix = True, profile
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def session_call(session: Any, example: Tensor) -> Call:
    """Return what runs a session once."""
    given = {session.get_inputs()[0].name: example.numpy()}
    return lambda: session.run(None, given)


def _on_onnxruntime(graph: bytes, example: Tensor, threads: int) -> Call:
    return session_call(onnx_session(graph, threads), example)


def _on_openvino(graph: bytes, example: Tensor, threads: int) -> Call:
    import openvino

    core = openvino.Core()
    network = core.read_model(graph)
    network.reshape(list(example.shape))
    hints = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    request = core.compile_model(network, "CPU", hints).create_infer_request()
    given = {0: example.numpy()}
    return lambda: request.infer(given)


def _eager(model: nn.Module, example: Tensor, threads: int) -> Call:
    @torch.inference_mode()
    def call() -> object:
        return model(example)

    return call


def _compiled(model: nn.Module, example: Tensor, threads: int) -> Call:
    compiled = torch.compile(model, dynamic=False)

    @torch.no_grad()  # compiled code is specialised to the mode, and inference mode has guards of its own
    def call() -> object:
        return compiled(example)

    # Networks share their code, so that each is one more compilation of it; past the limit they would run eager.
    limits = {"recompile_limit": MANY, "accumulated_recompile_limit": MANY}
    with threads_of(threads), torch._dynamo.config.patch(limits):
        call()
    return call


GRAPHS: Mapping[str, Callable[[bytes, Tensor, int], Call]] = MappingProxyType(
    {"onnxruntime": _on_onnxruntime, "openvino": _on_openvino}
)


def _of_graphs(name: str) -> Runtime:
    return lambda model, example, threads: GRAPHS[name](onnx_bytes(model, example), example, threads)


RUNTIMES: Mapping[str, Runtime] = MappingProxyType(
    {"eager": _eager, "compile": _compiled, **{name: _of_graphs(name) for name in GRAPHS}}
)
PACKAGES = {"eager": "torch", "compile": "torch", "onnxruntime": "onnxruntime", "openvino": "openvino"}
