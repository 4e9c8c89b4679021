"""Targets of time that hold, and accuracy for time: allocation by latency beside that by MACs, and torch-pruning's.

    ELASTIC_DATA=DIR python benchmarks/latency.py [--only 'target, *' 'accuracy, *'] [--threads 2]
    python benchmarks/latency.py --table docs/latency-table.md

target: a network of 224 px, batch 1, random weights, is profiled (20 further sub-networks only check predictions), and
pruned to `latency=60%` by its energy on photographs, three times; whole, cut and a uniform cut of the same MACs are
then timed anew, in turns. accuracy: checkpoints of CIFAR-10 are pruned without training, energy and repair, to shares
of its time and to shares of its MACs, and by torch-pruning to the same MACs; all are timed in turns.
Tables of latency are kept in the folder; what has a record is not measured again, and a table that was begun goes on.
"""

import argparse
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from isolated import Record
from latency_page import page
from one_shot_networks import Subject, case_of, macs_of, opened
from one_shot_theirs import WAYS, search, with_norms
from records import add_record, is_asked, read_records
from torch import Tensor, nn

import elastic
from elastic import models
from elastic.allocation import allocate
from elastic.cutting import cut
from elastic.data import Preprocessing, images_loader, load
from elastic.fitting import fitted
from elastic.latency import Table, profile
from elastic.latency.runtimes import prepare, threads_of
from elastic.measuring import median_seconds

NETWORKS = ("resnet50", "mobilenet_v2", "vgg16_bn")
RUNTIMES = ("eager", "onnxruntime")
TARGET, RUNS, CHECKS = "latency=60%", 3, 20
TIMED, LEAST_SECONDS = 31, 2.0  # runs of each network
PHOTOGRAPHS = 32
CHECKPOINTS, BATCH = ("resnet56_cifar10", "vgg6_bn_cifar10"), 64
THEIRS = ("magnitude L2, global, all layers", "magnitude L2, isomorphic, inner layers", "Taylor, global, inner layers")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Targets of time, and accuracy for time.")
    parser.add_argument("--only", nargs="*", default=["*"], help="patterns of names, as 'target, resnet50, *'")
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--runtimes", nargs="*", default=list(RUNTIMES))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=240, help="for one latency table, about")
    parser.add_argument("--images", type=int, default=2048, help="that rank and repair, without labels")
    parser.add_argument("--shares", type=float, nargs="*", default=[0.85, 0.7, 0.55, 0.4], help="of time, and of MACs")
    parser.add_argument("--folder", type=Path, default=Path("build/latency"))
    parser.add_argument("--table", type=Path, help="write the records as Markdown, and run nothing")
    asked = parser.parse_args(arguments)
    out = asked.folder / "records.jsonl"
    if asked.table:
        asked.table.write_text(page(read_records(out)) + "\n")
        return
    asked.folder.mkdir(parents=True, exist_ok=True)
    threads = f"{asked.threads} thread{'s' * (asked.threads > 1)}"
    for network in asked.networks:
        for runtime in asked.runtimes:
            name = f"target, {network}, {runtime}, {threads}"
            if is_asked(name, asked.only):
                add_record(out, name, partial(target, network, runtime, asked))
    for checkpoint in CHECKPOINTS:
        for runtime in asked.runtimes:
            name = f"accuracy, {checkpoint}, {runtime}, {threads}"
            if is_asked(name, asked.only):
                add_record(out, name, partial(accuracy, checkpoint, runtime, asked))


def target(name: str, runtime: str, asked: argparse.Namespace) -> Record:
    """Return what three prunings to a share of the time came to, and the table's errors."""
    torch.manual_seed(0)
    model, example = models.build(f"torchvision/{name}").eval(), torch.randn(1, 3, 224, 224)
    table = profiled(model, example, name, runtime, asked)
    images = photographs()
    runs = [once(model, example, images, table, runtime, asked) for _ in range(RUNS)]
    return {**facts(table, asked), "target": TARGET, "runs": runs}


def once(
    model: nn.Module,
    example: Tensor,
    images: Sequence[Tensor],
    table: Table,
    runtime: str,
    asked: argparse.Namespace,
) -> Record:
    pruned = elastic.prune(model, example, target=TARGET, data=images, recover=False, latency_table=table)
    (held,) = pruned.held
    macs = pruned.cost().macs
    uniform = allocate(pruned.plan, pruned.scores, target=f"macs={macs}", scope="uniform")
    state = cut(model.state_dict(), pruned.plan, uniform)
    networks = {"whole": model, "cut": pruned.level(0), "uniform": fitted(model, state, pruned.plan.sizes(uniform))}
    found = seconds(networks, example, runtime, asked.threads)
    shares = {name: found[name] / found["whole"] for name in ("cut", "uniform")}
    of_macs = macs / pruned.cost(1).macs
    held_at = {"cut": held.seconds / held.whole, "uniform": held.uniform / held.whole}
    return {"seconds": found, "shares": shares, "macs": of_macs, "cuts": held.cuts, "held": held_at}


def photographs() -> list[Tensor]:
    """Return a few images of ImageNet, without labels, one tensor a batch."""
    folder = Path(os.environ["ELASTIC_DATA"]) / "imagenet-sample"
    images = load(f"imagefolder:{folder}", train=False, preprocessing=Preprocessing.default("torchvision/resnet50"))
    return [x for x, _ in images_loader(images, 16, limit=PHOTOGRAPHS)]


def accuracy(checkpoint: str, runtime: str, asked: argparse.Namespace) -> Record:
    """Return networks by allocation and share, each with its time, MACs and accuracies."""
    subject = opened(case_of(checkpoint))
    example = torch.randn(BATCH, *subject.example.shape[1:])
    table = profiled(subject.model, example, checkpoint, runtime, asked)
    inputs = [images for images, _ in subject.batches(asked.images, 128)]
    networks: dict[tuple[str, str], nn.Module] = {("whole", "100%"): subject.model}
    for share in asked.shares:
        for way, text, options in (
            ("latency", f"latency={share:.0%}", {"latency_table": table}),
            ("latency, greedy", f"latency={share:.0%}", {"latency_table": table, "solver": "greedy"}),
            ("macs", f"macs={share:.0%}", {}),
        ):
            pruned = elastic.prune(subject.model, subject.example, target=text, data=inputs, **options)
            networks[way, f"{share:.0%}"] = pruned.level(0)
            print(f"{way}, {text}", flush=True)
    networks |= theirs(subject, inputs, asked)
    return {
        **facts(table, asked),
        "batch": BATCH,
        "images": asked.images,
        "networks": judged(subject, networks, example, runtime, asked),
    }


def theirs(subject: Subject, inputs: Sequence[Tensor], asked: argparse.Namespace) -> dict[tuple[str, str], nn.Module]:
    """Return torch-pruning's networks by some of its ways, with our norms' statistics, which that library lacks."""
    ways = [way for way in WAYS if str(way) in THEIRS]
    found = search(subject, asked.shares, subject.batches(asked.images, 128), ways)
    return {
        (f"torch-pruning, {one.way}", f"{share:.0%}"): with_norms(one.network, inputs)
        for share, candidates in found.candidates.items()
        for one in candidates
    }


def judged(
    subject: Subject,
    networks: Mapping[tuple[str, str], nn.Module],
    example: Tensor,
    runtime: str,
    asked: argparse.Namespace,
) -> list[Record]:
    times = seconds(networks, example, runtime, asked.threads)
    whole, macs = times["whole", "100%"], macs_of(subject.model, subject.example)
    return [
        {
            "way": key[0],
            "share": key[1],
            "top1": subject.accuracy(network)["test"],
            "macs": macs_of(network, subject.example) / macs,
            "latency": times[key] / whole,
            "ms": 1e3 * times[key],
        }
        for key, network in networks.items()
    ]


def profiled(model: nn.Module, example: Tensor, name: str, runtime: str, asked: argparse.Namespace) -> Table:
    path = asked.folder / f"{name}-{runtime}-{len(example)}-{asked.threads}.jsonl"
    return profile(
        model,
        example,
        runtime=runtime,
        threads=asked.threads,
        path=path,
        checks=CHECKS,
        seconds=asked.seconds,
        name=name,
    )


def facts(table: Table, asked: argparse.Namespace) -> Record:
    errors = table.errors
    assert errors is not None
    off = {"median": errors.median, "worst": errors.worst, "networks": errors.networks}
    fitted_to = sum(point.role == "fit" for point in table.points)
    return {"errors": off, "points": fitted_to, "threads": asked.threads, "runtime": table.header.runtime}


def seconds(networks: Mapping[Any, nn.Module], example: Tensor, runtime: str, threads: int) -> dict[Any, float]:
    """Return the median seconds of networks, in turns."""
    with threads_of(threads):
        calls = {name: prepare(each, example, runtime=runtime, threads=threads) for name, each in networks.items()}
        return median_seconds(calls, runs=TIMED, at_least_seconds=LEAST_SECONDS)


if __name__ == "__main__":
    main()
