"""`elastic deploy`: levels as files that other programs run, checked, with their sizes and times."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from elastic.cli import options
from elastic.cli.printing import Steps, say, show, table
from elastic.sizes import size_text

if TYPE_CHECKING:
    from elastic.deploying import Deployed


def deploy(
    file: options.File,
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write into.")],
    to: Annotated[
        list[str] | None,
        typer.Option(help="onnx (the default), torch-export, state-dict or sparse; repeatable."),
    ] = None,
    level: Annotated[
        list[str] | None, typer.Option(help="A level's name or number; repeatable. All levels by default.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Images at a time, where times are measured.")] = 1,
    threads: options.Threads = None,
    runs: Annotated[int, typer.Option(min=2, help="Runs of each after a warm-up.")] = 30,
    model: options.OwnModel = None,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
) -> None:
    """Write each level as a file of its own, checked against torch, and time what was written, all in turns.

    ONNX is run by onnxruntime, and by OpenVINO where it is installed.

    Example: elastic deploy net.safetensors --to onnx --to torch-export -o deployed
    """
    import torch

    from elastic.cli.networks import levels_of, open_file
    from elastic.deploying import deploy as write

    header, preprocessing = open_file(file)
    networks = levels_of(file, header, level, model)
    example = preprocessing.example().expand(batch, -1, -1, -1).contiguous()
    threads = threads or torch.get_num_threads()
    with Steps("writing") as progress:
        found = write(
            networks, example, output, formats=to or ["onnx"], threads=threads, runs=runs, overwrite=overwrite,
            progress=progress,
        )  # fmt: skip
    rows = [
        {
            "level": each.network,
            "file": str(each.file.path),
            "format": each.file.format,
            "bytes": each.file.bytes,
            "error": each.file.error,
            "seconds": {runtime: latency.median for runtime, latency in each.latencies.items()},
        }
        for each in found
    ]
    result = {"folder": str(output), "batch": batch, "threads": threads, "rows": rows}
    show(result, json, lambda: _render(found, batch, threads))


def _render(found: "list[Deployed]", batch: int, threads: int) -> None:
    runtimes = list(dict.fromkeys(runtime for each in found for runtime in each.latencies))
    rows = []
    for each in found:
        times = [f"{1e3 * each.latencies[r].median:.2f} ms" if r in each.latencies else "" for r in runtimes]
        rows.append([each.network, each.file.path.name, size_text(each.file.bytes), f"{each.file.error:.0e}", *times])
    table(["level", "file", "size", "differs from torch", *runtimes], rows, left=(0, 1))
    if runtimes:
        say(f"batch {batch}, {threads} {'thread' if threads == 1 else 'threads'}, medians, measured in turns")
