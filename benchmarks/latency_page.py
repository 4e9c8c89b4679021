"""The page of `latency.py`."""

from collections.abc import Mapping

import numpy as np
from isolated import Record
from records import markdown, setting

RAN = {  # by threads: the command, and how
    1: (
        "taskset -c 1 python benchmarks/latency.py --threads 1",
        "one thread, on a core of its own, beside another such run or tests on the other core",
    ),
    2: ("python benchmarks/latency.py --threads 2 --seconds 45", "two threads, with nothing else running"),
}
OURS = ("latency", "latency, greedy", "macs")
PACKAGES = ("torch", "torchvision", "onnxruntime", "torch-pruning")


def page(records: Mapping[str, Record]) -> str:
    """Return what was held, how far predictions were off, and accuracy for time."""
    targets = {name: record for name, record in records.items() if name.startswith("target")}
    accuracies = {name: record for name, record in records.items() if name.startswith("accuracy")}
    threads = sorted({record["threads"] for record in records.values()})
    commands = ", ".join(f"`{RAN[number][0]}`" for number in threads)
    parts = ["# Targets of time", f"{commands}."]
    parts.append(setting(PACKAGES, records.values(), "; ".join(RAN[number][1] for number in threads)))
    if targets:
        parts += ["## latency=60% at 224 px, batch 1", HELD, held(targets)]
    if accuracies:
        parts += ["## Accuracy for time", SAID]
    for name, record in accuracies.items():
        parts += [f"### {name.partition(', ')[2]}", told(record), networks(record), equal(record)]
    return "\n\n".join(parts)


HELD = (
    "Random weights, ranked by their energy on 32 photographs for the time that each unit saves. Each run prunes anew, "
    "times its levels, beside a uniform cut too, and corrects the cut until it holds; then the whole network, the "
    "cut one and a uniform cut of the same MACs are timed again, in turns (medians of 31 runs or more, of two seconds "
    "or more). Shares are of the whole network's time. Errors: of the table's predictions for 20 "
    "random sub-networks that were not fitted."
)
SAID = (
    "Onnxruntime's kernels have widths that they don't like, which allocation by time leaves out: at equal accuracy "
    "VGG-6's networks take 41 to 91 % of the time where those by MACs take 67 to 127 %, less at all eight accuracies "
    "that both have, and time follows MACs, 1.05 to 1.13 times as much (1.39 to 1.68 where MACs were the target). In "
    "eager torch they take less at seven of nine accuracies, by 0.4 to 12 points, and 1.0 to 1.5 more at two; time is "
    "1.04 to 1.30 times the share of MACs, 1.17 to 1.43 where those were the target. In ResNet-56, whose convolutions "
    "are small beside its norms, activations and sums, there is little to win: by time networks take 1.7 to 2.7 points"
    " less at four of ten accuracies, and as much within 0.5 at the others; the greedy order by time takes less than "
    "either at 92.9 (79.5 %), and more from 92.1 down. Time falls less than MACs there whoever chooses, 1.11 to 1.9 "
    "times as much: MACs fall with two widths, norms, activations, sums and pooling with one, and Python's time with "
    "none."
)


def held(records: Mapping[str, Record]) -> str:
    rows = []
    for name, record in records.items():
        for run in record["runs"]:
            whole, shares, errors = run["seconds"]["whole"], run["shares"], record["errors"]
            rows.append(
                (
                    name.partition(", ")[2], f"{1e3 * whole:.1f}", f"{shares['cut']:.1%}",
                    f"{shares['uniform']:.1%}", f"{run['macs']:.1%}", str(run["cuts"]), str(record["points"]),
                    f"{errors['median']:.1%}", f"{errors['worst']:.1%}",
                )
            )  # fmt: skip
    heads = (
        "network", " whole, ms", " cut", " uniform cut", " MACs of both", " cuts", " networks in the table",
        " error, median", " worst",
    )  # fmt: skip
    return markdown(heads, rows)


def told(record: Record) -> str:
    errors = record["errors"]
    return (
        f"Batch {record['batch']}; pruned without training (energy and repair on "
        f"{record['images']:,} images without labels; torch-pruning's ranks with norms' statistics taken anew), top-1 "
        f"on the 10,000 test images. The table's error on {errors['networks']} random sub-networks: median "
        f"{errors['median']:.1%}, worst "
        f"{errors['worst']:.1%}."
    )


def networks(record: Record) -> str:
    rows = [
        (each["way"], each["share"], f"{each['top1']:.2f}", f"{each['macs']:.1%}", f"{each['latency']:.1%}",
         f"{each['latency'] / each['macs']:.2f}x")
        for each in record["networks"]
    ]  # fmt: skip
    return markdown(("allocation", " asked", " top-1", " MACs", " time", " time / MACs"), rows)


def equal(record: Record) -> str:
    """Return the time at which each allocation has the accuracies of ours, on straight lines between."""
    ways = dict.fromkeys(each["way"] for each in record["networks"] if each["way"] != "whole")
    whole = next(each for each in record["networks"] if each["way"] == "whole")
    curves = {}
    for way in ways:
        points = sorted((e["top1"], e["latency"]) for e in [*record["networks"], whole] if e["way"] in (way, "whole"))
        curves[way] = tuple(np.array(column) for column in zip(*points, strict=True))
    found = {(each["top1"], each["way"]) for each in record["networks"] if each["way"] in OURS}
    rows = []
    for top1, way in sorted(found, reverse=True):
        rows.append((f"{top1:.2f}", way, *(_at(*curve, top1) for curve in curves.values())))
    said = (
        "Time at equal accuracy, on straight lines between the networks above: they are below the curves, and so cost "
        "some percent to all but the allocation whose own network has that accuracy; empty where none is as accurate."
    )
    return f"{said}\n\n{markdown(('top-1', 'of', *(f' {way}' for way in curves)), rows)}"


def _at(accuracies: np.ndarray, times: np.ndarray, accuracy: float) -> str:
    if not accuracies[0] <= accuracy <= accuracies[-1]:
        return ""
    return f"{np.interp(accuracy, accuracies, times):.1%}"
