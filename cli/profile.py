"""`elastic profile`: a table of how long a network's layers take on this machine, over their widths."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from elastic.cli import options
from elastic.cli.groups import takes_groups
from elastic.cli.printing import Steps, say, show, table

if TYPE_CHECKING:
    from elastic.latency import Table

SLOWEST = 12  # layers that are shown


@takes_groups
def profile(
    *,
    model: options.Model,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The .jsonl file to write; one of the same measurement goes on.")
    ],
    runtime: Annotated[str, typer.Option(help="eager, compile (torch.compile), onnxruntime or openvino.")] = "eager",
    batch: Annotated[int, typer.Option(min=1, help="Images at a time.")] = 1,
    threads: options.Threads = None,
    points: Annotated[int, typer.Option(min=3, help="Sub-networks to measure at most.")] = 60,
    checks: Annotated[int, typer.Option(min=0, help="Further ones that only tell the error.")] = 8,
    tolerance: Annotated[
        float, typer.Option(min=0, help="Error of predictions, as a share, at which it is enough.")
    ] = 0.05,
    runs: Annotated[int, typer.Option(min=2, help="Runs of each after a warm-up; quick ones run more often.")] = 15,
    seconds: Annotated[
        float | None, typer.Option(min=0, help="Fit no more sub-networks after about so long; a later run goes on.")
    ] = None,
    clock: options.Clock = "wall",
    freeze: options.Freeze = None,
    seed: options.Seed = 0,
    opening: options.Opening,
    json: options.Json = False,
) -> None:
    """Measure cut sub-networks until the time of any other one is predicted; goes on where it stopped.

    Example: elastic profile torchvision/resnet50 --runtime onnxruntime --threads 2 -o resnet50.jsonl
    """
    import torch

    from elastic.cli.networks import check_output, open_model
    from elastic.latency import profile as measure
    from elastic.latency.runtimes import check_runtime
    from elastic.measuring import named_clock
    from elastic.tracing import trace

    threads = threads or torch.get_num_threads()
    check_runtime(runtime)
    counted = named_clock(clock, threads)
    check_output(output, overwrite=True, suffix=".jsonl")
    opened = open_model(model, None, **opening.asked)
    example = opened.example
    plan = trace(opened.model, example, freeze=freeze or [])
    with Steps("measuring sub-networks") as progress:
        found = measure(
            opened.model, example.expand(batch, *example.shape[1:]).contiguous(),
            runtime=runtime, threads=threads, plan=plan, path=output, points=points, checks=checks,
            tolerance=tolerance, runs=runs, seconds=seconds, clock=counted, seed=seed, name=model, progress=progress,
        )  # fmt: skip
    show(_result(output, found), json, lambda: _render(output, found))


def _result(output: Path, found: "Table") -> dict[str, Any]:
    errors, header = found.errors, found.header
    return {
        "output": str(output),
        "model": header.name,
        "runtime": header.runtime,
        "threads": header.threads,
        "machine": header.machine.model_dump(),
        "shape": list(header.shape),
        "fitted": sum(point.role == "fit" for point in found.points),
        "seconds": found.steady(found.whole),
        "errors": None if errors is None else {"median": errors.median, "worst": errors.worst, "of": errors.networks},
        "layers": [{"layer": name, "seconds": seconds, "steps": steps} for name, seconds, steps in found.layers()],
    }


def _render(output: Path, found: "Table") -> None:
    layers = found.layers()
    slowest = sorted(layers, key=lambda each: -each[1])[:SLOWEST]
    total = sum(seconds for _, seconds, _ in layers)
    rows = [[name, f"{1e3 * s:.3f} ms", f"{s / total:.1%}", *map(str, steps)] for name, s, steps in slowest]
    table(["layer", "time", "share", "step of inputs", "of outputs"], rows)
    if len(layers) > len(rows):
        say(f"the {len(rows)} slowest of {len(layers)} layers; time goes on until the next layer begins")
    header, errors = found.header, found.errors
    fitted = sum(point.role == "fit" for point in found.points)
    whole = f"{1e3 * found.steady(found.whole):.2f} ms"
    threads = "1 thread" if header.threads == 1 else f"{header.threads} threads"
    say(f"{header.name} takes {whole} by {header.runtime} on {threads} of {header.machine}")
    told = (
        ""
        if errors is None
        else (f"; off by {errors.median:.1%} in the median and {errors.worst:.1%} at worst on {errors.networks} others")
    )
    say(f"{output}: {fitted} sub-networks{told}")
