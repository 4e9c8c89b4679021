"""Accuracy without training, with no labels: ours beside torch-pruning's best at the same MACs, over real checkpoints.

    ELASTIC_DATA=DIR python benchmarks/one_shot.py [--only 'resnet20_*' '*ours'] [--images 2048] [--seeds 0 1 2]
    ELASTIC_DATA=DIR python benchmarks/one_shot.py --table docs/one-shot.md

Ours is `elastic.prune` with the options below, and its repair. Theirs is the best of all that `one_shot_theirs.py`
tries, and the best of it with our norms' statistics, which that library lacks; each is chosen on the test images. Both
get the same images, theirs with labels too. What has a record is not measured again. MACs are those of torch's flop
counter, on the networks as they came out.
"""

import argparse
import fnmatch
import json
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from isolated import Record
from one_shot_networks import CASES, Case, Subject, macs_of, opened
from one_shot_table import table
from one_shot_theirs import STEPS, WAYS, Candidate, Found, best, search
from records import provenance, read_records

import elastic

LEVELS = (0.67, 0.5, 0.38)  # of the dense network's MACs

# What ours is measured with beside the defaults: options of `prune`, and of its repair.
PRUNE: dict[str, Any] = {}
REPAIR: dict[str, Any] = {}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Accuracy without training, ours beside torch-pruning's best.")
    parser.add_argument("--only", nargs="*", default=["*"], help="patterns of names, as 'resnet20_cifar10 50%% ours'")
    parser.add_argument("--out", type=Path, default=Path("build/one_shot.jsonl"), help="one JSON object a line")
    parser.add_argument("--again", action="store_true", help="measure those too that have a record")
    parser.add_argument("--images", type=int, default=2048, help="training images, without labels")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0], help="draws of images, ours only")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--screen", type=int, default=500, help="test images on which all that theirs finds is tried")
    parser.add_argument("--ways", nargs="*", default=["*"], help="patterns, as 'magnitude L2, global, *', theirs only")
    parser.add_argument("--table", type=Path, help="write the records as Markdown, and run nothing")
    asked = parser.parse_args(arguments)
    if asked.table:
        asked.table.write_text(table(read_records(asked.out)) + "\n")
        return
    torch.set_num_threads(asked.threads)
    known = set() if asked.again else set(read_records(asked.out))
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    for case in CASES:
        wanted = [name for name in names(case) if any(fnmatch.fnmatch(name, pattern) for pattern in asked.only)]
        if todo := [name for name in wanted if name not in known]:
            for record in measured(case, todo, asked):
                append(record, asked)


def names(case: Case) -> list[str]:
    """Return the names of all records of a case."""
    parts = ["dense", *(f"{level:.0%} {side}" for side in ("ours", "theirs") for level in LEVELS)]
    return [f"{case.name} {part}" for part in parts]


def measured(case: Case, todo: Sequence[str], asked: argparse.Namespace) -> Iterator[Record]:
    """Yield the records that are still to do."""
    subject = opened(case)
    images = min(asked.images, case.images)
    start = {"case": case.name, "images": images, "tested": {name: len(part) for name, part in subject.tests.items()}}
    if f"{case.name} dense" in todo:
        dense = {"macs": macs_of(subject.model, subject.example), "accuracy": subject.accuracy(subject.model)}
        yield start | {"name": f"{case.name} dense", "side": "dense", "level": 1.0} | dense
    for level in LEVELS:
        if (name := f"{case.name} {level:.0%} ours") in todo:
            runs = [ours(subject, level, images, case.batch, seed) for seed in asked.seeds]
            yield start | {"name": name, "side": "ours", "level": level, "options": PRUNE | REPAIR, "runs": runs}
    levels = [level for level in LEVELS if f"{case.name} {level:.0%} theirs" in todo]
    if levels:
        batches, begin = subject.batches(images, case.batch), time.perf_counter()
        ways = [way for way in WAYS if any(fnmatch.fnmatch(str(way), pattern) for pattern in asked.ways)]
        found = search(subject, levels, batches, ways)
        searched = time.perf_counter() - begin
        for level in levels:
            name = {"name": f"{case.name} {level:.0%} theirs", "side": "theirs", "level": level}
            seconds = {"search": round(searched / len(levels), 1)}
            how = {"ways": asked.ways, "seconds": seconds}
            yield start | name | how | theirs(subject, found, level, batches, asked.screen)


def ours(subject: Subject, level: float, images: int, batch: int, seed: int) -> Record:
    """Return accuracies after the cut and after the repair, and the seconds of both steps."""
    inputs = [x for x, _ in subject.batches(images, batch, seed)]
    start = time.perf_counter()
    pruned = elastic.prune(
        subject.model, subject.example, target=f"macs={level:.0%}", data=inputs, seed=seed, recover=False, **PRUNE
    )
    cut, cut_seconds = pruned.level(0), time.perf_counter() - start
    start = time.perf_counter()
    pruned = pruned.recovered(torch.cat(inputs), seed=seed, **REPAIR)
    repaired, repair_seconds = pruned.level(0), time.perf_counter() - start
    return {
        "seed": seed,
        "macs": macs_of(repaired, subject.example),
        "used": pruned.recipe["recovered_on"],
        "cut": subject.accuracy(cut),
        "repaired": subject.accuracy(repaired),
        "seconds": {"scoring": round(cut_seconds, 1), "repair": round(repair_seconds, 1)},
    }


def theirs(
    subject: Subject, found: Found, level: float, batches: Sequence[tuple[torch.Tensor, torch.Tensor]], screen: int
) -> Record:
    """Return the best that was found for a level, how many networks that is the best of, and what failed."""
    candidates = found.candidates[level]
    record: Record = {"tried": len(candidates), "steps": STEPS, "screened": screen, "failures": found.failures}
    return record | {kind: shown(one, kind) for kind, one in best(subject, candidates, batches, screen).items()}


def shown(one: Candidate, kind: str) -> Record:
    return {"way": str(one.way), "macs": one.macs, "accuracy": one.all[kind]}


def append(record: Record, asked: argparse.Namespace) -> None:
    record |= {"threads": asked.threads, **provenance()}
    with asked.out.open("a") as file:
        file.write(json.dumps(record) + "\n")
    print(json.dumps(record), flush=True)


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        main()
