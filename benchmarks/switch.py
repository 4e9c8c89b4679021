"""What a live network costs: time of `switch` and `grow`, memory, and forward time beside the same level loaded alone.

    python benchmarks/switch.py [--network torchvision/resnet50] [--size 224] [--batch 1] [--threads 2] [--json]

Random weights, levels of 25, 50 and 75 % of the MACs and the whole. Switches go from each level to each other. Forward
passes of the switched network and of the level alone (`elastic.checkpoint.load`) alternate, in eval mode; the ratio is
that of the medians. Memory is the bytes of all tensors that the live network holds, each storage once.
"""

import argparse
import itertools
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from records import provenance

import elastic
from elastic import checkpoint, models
from elastic.metadata import read_header

TARGETS = ("macs=25%", "macs=50%", "macs=75%")


def main() -> None:
    parser = argparse.ArgumentParser(description="What a live network costs.")
    parser.add_argument("--network", default="torchvision/resnet50")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    torch.manual_seed(0)
    model, example = models.build(asked.network).eval(), torch.randn(asked.batch, 3, asked.size, asked.size)
    with tempfile.TemporaryDirectory(dir=".") as folder:
        path = Path(folder) / "net.safetensors"
        elastic.prune(model, example[:1], target=list(TARGETS)).save(path, model_name=asked.network)
        found = measured(path, example, asked.runs) | {"batch": asked.batch, "threads": asked.threads, **provenance()}
    print(json.dumps(found, indent=1) if asked.json else shown(found))


@torch.no_grad()
def measured(path: Path, example: torch.Tensor, runs: int) -> dict[str, Any]:
    """Return seconds, bytes and ratios."""
    levels = [level.name for level in read_header(path).levels]
    net = elastic.load(path)
    pairs = [pair for pair in itertools.permutations(levels, 2) for _ in range(runs)]
    seconds = []
    for before, after in pairs:
        net.switch(before)
        begin = time.perf_counter()
        net.switch(after)
        seconds.append(time.perf_counter() - begin)
    rows = []
    for level in levels:
        alone = checkpoint.load(path, level)
        net.switch(level)
        times: dict[str, list[float]] = {"live": [], "alone": []}
        for run in range(runs + 3):
            for kind, network in (("live", net), ("alone", alone)):
                begin = time.perf_counter()
                network(example)
                if run >= 3:
                    times[kind].append(time.perf_counter() - begin)
        live, single = (statistics.median(times[kind]) for kind in ("live", "alone"))
        rows.append({"level": level, "live": live, "alone": single, "ratio": live / single})
    return {
        "switch": statistics.median(seconds),
        "slowest_switch": max(seconds),
        "grow": grown(path, levels),
        "bytes": held(net),
        "bytes_of_the_largest": sum(t.nbytes for t in checkpoint.load_state(path).values()),
        "forward": rows,
    }


def grown(path: Path, levels: list[str]) -> dict[str, float]:
    """Return the seconds of loading the smallest level, and of growing to each larger one."""
    begin = time.perf_counter()
    net = elastic.load(path, 0)
    found = {levels[0]: time.perf_counter() - begin}
    for level in levels[1:]:
        begin = time.perf_counter()
        net.grow(level)
        found[level] = time.perf_counter() - begin
    return found


def held(net: elastic.ElasticModel) -> int:
    """Return the bytes of all tensors of all levels, each storage once."""
    storages = {}
    for level in net.levels:
        net.switch(level)
        for tensor in [*net.parameters(), *net.buffers()]:
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
    return sum(storages.values())


def shown(found: dict[str, Any]) -> str:
    lines = [
        f"switch: median {found['switch'] * 1e3:.3f} ms, slowest {found['slowest_switch'] * 1e3:.3f} ms",
        "load and grow: " + ", ".join(f"{level} {seconds:.2f} s" for level, seconds in found["grow"].items()),
        f"memory: {found['bytes'] / 1e6:.1f} MB; the largest level alone {found['bytes_of_the_largest'] / 1e6:.1f} MB",
    ]
    lines += [
        f"{row['level']:>9}: live {row['live'] * 1e3:7.1f} ms, alone {row['alone'] * 1e3:7.1f} ms, {row['ratio']:.3f}x"
        for row in found["forward"]
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
