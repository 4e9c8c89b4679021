"""`elastic bench`: how long a network, or each level of a file, takes on this machine."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from elastic.cli import options
from elastic.cli.groups import takes_groups
from elastic.cli.printing import Steps, say, show, table
from elastic.sizes import size_text

if TYPE_CHECKING:
    from torch import Tensor, nn

    from elastic.latency import Benched


@takes_groups
def bench(
    *,
    network: Annotated[str, typer.Argument(help="An elastic file, or a model's name.")],
    level: Annotated[
        list[str] | None, typer.Option(help="A level's name or number; repeatable. All levels by default.")
    ] = None,
    runtime: Annotated[
        list[str] | None,
        typer.Option(help="eager (the default), compile (torch.compile), onnxruntime or openvino; repeatable."),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Images at a time.")] = 1,
    threads: options.Threads = None,
    runs: Annotated[int, typer.Option(min=2, help="Runs of each after a warm-up; quick ones run more often.")] = 30,
    clock: options.Clock = "wall",
    device: Annotated[str, typer.Option(help="cpu, or cuda: eager and compile only.")] = "cpu",
    weights: options.Weights = None,
    model: options.OwnModel = None,
    opening: options.Opening,
    json: options.Json = False,
) -> None:
    """Measure how long a network takes: all levels and runtimes in turns, medians and quartiles after a warm-up.

    Memory is by how much it rises at most until the first run is done; energy is told where the device counts it.

    Example: elastic bench net.safetensors --runtime eager --runtime onnxruntime --threads 2
    """
    import torch

    from elastic.errors import UnknownName
    from elastic.latency import bench as measure
    from elastic.latency.runtimes import check_runtime
    from elastic.measuring import named_clock

    if device not in ("cpu", "cuda") or (device == "cuda" and not torch.cuda.is_available()):
        raise UnknownName(f"device {device!r} isn't there; known: cpu" + ", cuda" * torch.cuda.is_available())
    runtimes, threads = runtime or ["eager"], threads or torch.get_num_threads()
    for each in runtimes:
        check_runtime(each)
    counted = named_clock(clock, threads)
    networks, example = _opened(network, level, model, weights, opening)
    example = example.expand(batch, *example.shape[1:]).contiguous().to(device)
    networks = {name: each.float().to(device) for name, each in networks.items()}
    with Steps("preparing networks") as progress:
        found = measure(
            networks, example, runtimes=runtimes, threads=threads, runs=runs, clock=counted, progress=progress
        )
    result = {
        "network": network,
        "batch": batch,
        "shape": list(example.shape),
        "device": device,
        "threads": threads,
        "rows": [_row(each) for each in found],
    }
    show(result, json, lambda: _render(found, batch, threads, list(example.shape)))


def _opened(
    network: str, level: list[str] | None, model: str | None, weights: Path | None, opening: options.Opening
) -> "tuple[dict[str, nn.Module], Tensor]":
    """Return networks by name, and an image of noise."""
    from elastic.cli.networks import is_file, levels_of, open_file, open_model
    from elastic.errors import UnknownName

    if is_file(network):
        given = {"weights": weights, **opening.asked}
        if idle := [options.option(name) for name, value in given.items() if value is not None and name != "size"]:
            raise UnknownName(
                f"{network} is a file, which knows its own input and weights; leave out {', '.join(idle)}"
            )
        header, preprocessing = open_file(Path(network))
        networks = levels_of(Path(network), header, level, model)
        return networks, preprocessing.with_(size=opening.size).example()
    if level or model is not None:
        raise UnknownName(f"{network} is no file, so it is taken for a model's name, which takes no --level, --model")
    opened = open_model(network, weights, **opening.asked)
    return {network: opened.model}, opened.example


def _row(found: "Benched") -> dict[str, Any]:
    latency = found.latency
    return {
        "network": found.network,
        "runtime": found.runtime,
        "seconds": latency.median,
        "low": latency.low,
        "high": latency.high,
        "runs": latency.runs,
        "peak_bytes": found.peak_bytes,
        "joules": found.joules,
    }


def _render(found: "list[Benched]", batch: int, threads: int, shape: list[int]) -> None:
    rows = []
    for each in found:
        low, median, high = (f"{1e3 * s:.2f} ms" for s in (each.latency.low, each.latency.median, each.latency.high))
        memory = "" if each.peak_bytes is None else size_text(each.peak_bytes)
        energy = [] if found[0].joules is None else ["" if each.joules is None else f"{1e3 * each.joules:.1f} mJ"]
        per_image = f"{batch / each.latency.median:.1f}"
        rows.append([each.network, each.runtime, median, low, high, per_image, memory, *energy])
    heads = ["network", "runtime", "median", "a quarter under", "a quarter over", "images/s", "memory"]
    table([*heads, *(["energy"] if found[0].joules is not None else [])], rows, left=(0, 1))
    say(f"input {' x '.join(map(str, shape))}, {threads} {'thread' if threads == 1 else 'threads'}, measured in turns")
