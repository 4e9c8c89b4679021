"""How far the latency table is off: three networks by two runtimes, on random sub-networks that were never fitted.

    python benchmarks/latency_table.py && python benchmarks/latency_table.py --table docs/latency-table.md

ResNet-50, MobileNetV2 and VGG-16-BN of torchvision, random weights, 224 pixels, batch 1, two threads. Each table is a
file of its own, so a case that was stopped goes on where it was. The machine should do nothing else.
"""

import argparse
import statistics
from pathlib import Path

import numpy as np
from isolated import Record
from records import add_record, markdown, read_records, setting

import elastic
from elastic import models
from elastic.data import Preprocessing
from elastic.latency import profile

NETWORKS = ("torchvision/resnet50", "torchvision/mobilenet_v2", "torchvision/vgg16_bn")
RUNTIMES = ("eager", "onnxruntime")
HEAD = ("network", "runtime", " fitted", " whole network", " median error", " worst", " of", " without turns")


def run(name: str, runtime: str, asked: argparse.Namespace) -> Record:
    """Return how far predictions are off for one network and runtime."""
    model, example = models.build(name).eval(), Preprocessing.default(name).with_(size=asked.size).example()
    plan = elastic.trace(model, example)
    file = asked.folder / f"{name.replace('/', '-')}-{runtime}.jsonl"
    table = profile(
        model, example, runtime=runtime, threads=asked.threads, plan=plan, path=file, checks=20, name=name,
        progress=lambda done, total: print(f"{name} {runtime}: {done} of {total}", flush=True),
    )  # fmt: skip
    checks = [point for point in table.points if point.role == "check"]
    plain = [abs(float(table.fitted.seconds(np.array(point.widths))) / point.seconds - 1) for point in checks]
    return {
        "network": name,
        "runtime": runtime,
        "machine": str(table.header.machine),
        "fitted": len(table.points) - len(checks),
        "seconds": table.steady(table.whole),
        "median": table.errors.median,
        "worst": table.errors.worst,
        "networks": table.errors.networks,
        "plain": statistics.median(plain),
    }


def page(records: dict[str, Record], threads: int, size: int) -> str:
    """Return the table of errors."""
    rows = [
        [
            each["network"], each["runtime"], str(each["fitted"]), f"{1e3 * each['seconds']:.1f} ms",
            f"{each['median']:.1%}", f"{each['worst']:.1%}", str(each["networks"]), f"{each['plain']:.1%}",
        ]
        for each in records.values()
    ]  # fmt: skip
    told = setting(("torch", "onnxruntime"), records.values(), f"{threads} threads")
    about = (
        f"Sub-networks with random widths, {size} pixels, batch 1; none was fitted. Errors are shares of what was "
        "measured, beside a reference in the same turns; the last column compares with the clock alone, at another "
        "time than the table's."
    )
    return f"# Predicted and measured latency\n\n{about}\n\n{markdown(HEAD, rows)}\n\n{told}\n"


def main() -> None:
    """Measure what isn't yet, or write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("build/latency"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--only", nargs="*", default=NETWORKS)
    parser.add_argument("--table", type=Path)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    out = asked.folder / "errors.jsonl"
    if asked.table is not None:
        asked.table.write_text(page(read_records(out), asked.threads, asked.size), encoding="utf-8")
        return
    for name in asked.only:
        for runtime in RUNTIMES:
            add_record(out, f"{name} {runtime}", lambda name=name, runtime=runtime: run(name, runtime, asked))


if __name__ == "__main__":
    main()
