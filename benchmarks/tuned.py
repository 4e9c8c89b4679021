"""Accuracy after a short training with a teacher: ours beside torch-pruning's magnitude pruning, on one checkpoint.

    ELASTIC_DATA=DIR python benchmarks/tuned.py [--only '*ours*'] [--seeds 0 1 2] [--epochs 15]
    ELASTIC_DATA=DIR python benchmarks/tuned.py --epochs 100 --precision bfloat16 --folder build/gpu   (on a GPU)
    python benchmarks/tuned.py --table docs/tuned.md

ResNet-56 of CIFAR-10 at 2.1 times fewer MACs. Ours: `elastic.prune` with its repair on 2,048 images. Theirs: L2
magnitude, global or layer by layer, all layers or those inside of blocks, whichever is best once its norms are
estimated anew. Then both go through the same loop with the same recipe and the whole network as the teacher, theirs
with each of the learning rates too. No epoch is chosen: accuracies are those of the last. A run that was stopped goes
on where it was.
"""

import argparse
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from isolated import Record
from one_shot_networks import Subject, case_of, macs_of, opened
from one_shot_theirs import WAYS, best, search, with_norms
from records import add_record, is_asked, read_records
from short_training import add_options
from torch import nn
from tuned_table import table

import elastic
from elastic.training import Recipe, train

CASE = case_of("resnet56_cifar10")
LEVEL = 1 / 2.1  # of the dense network's MACs
IMAGES = 2048  # for scores, repair and norms, without labels


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Accuracy after a short training, ours beside torch-pruning's.")
    parser.add_argument("--only", nargs="*", default=["*"], help="patterns of names, as 'ours, 0.02, seed 0'")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--learning-rates", type=float, nargs="*", default=[0.02, 0.1])
    parser.add_argument("--distil", type=float, default=0.9)
    add_options(parser, "build/tuned", precision="bfloat16")
    asked = parser.parse_args(arguments)
    out = asked.folder / "records.jsonl"
    if asked.table:
        asked.table.write_text(table(read_records(out)) + "\n")
        return
    torch.set_num_threads(asked.threads)
    asked.folder.mkdir(parents=True, exist_ok=True)
    subject = opened(CASE)
    for seed in asked.seeds:
        for side in ("ours", "theirs"):
            for rate in asked.learning_rates:
                name = f"{side}, {rate:g}, seed {seed}"
                keep = asked.folder / f"{name}.training"
                if is_asked(name, asked.only):
                    add_record(out, name, partial(run, subject, side, recipe(asked, rate, seed), keep, asked.threads))


def recipe(asked: argparse.Namespace, rate: float, seed: int) -> Recipe:
    return Recipe(
        epochs=asked.epochs, learning_rate=rate, schedule="cosine", warm_up=0.05, label_smoothing=0.0,
        distil=asked.distil, average=asked.average, precision=asked.precision, seed=seed,
    )  # fmt: skip


def run(subject: Subject, side: str, how: Recipe, keep: Path, threads: int) -> Record:
    """Return what a network had before and after its training."""
    start = time.perf_counter()
    network, found = ours(subject, how.seed) if side == "ours" else theirs(subject)
    found |= {"side": side, "threads": threads}
    found |= {"before": subject.accuracy(network)["test"], "start": round(time.perf_counter() - start, 1)}
    network.to(memory_format=torch.contiguous_format).requires_grad_(True)

    def tell(epoch: Any) -> None:
        print(f"{side} {how.learning_rate} {epoch.model_dump_json()}", flush=True)

    epochs = train(network, subject.training, how, teacher=subject.model, keep=keep, report=tell)
    found |= {"after": subject.accuracy(network)["test"], "recipe": how.model_dump(mode="json")}
    keep.unlink()
    return found | {"macs": macs_of(network, subject.example), "seconds": round(sum(e.seconds for e in epochs))}


def ours(subject: Subject, seed: int) -> tuple[nn.Module, Record]:
    inputs = [x for x, _ in subject.batches(IMAGES, CASE.batch, seed)]
    pruned = elastic.prune(subject.model, subject.example, target=f"macs={LEVEL:.2%}", data=inputs, seed=seed)
    return pruned.level(0), {"way": "energy, global, for each saved MAC; repaired"}


def theirs(subject: Subject) -> tuple[nn.Module, Record]:
    batches = subject.batches(IMAGES, CASE.batch)
    ways = [way for way in WAYS if way.importance == "magnitude L2" and way.scope != "isomorphic"]
    chosen = best(subject, search(subject, [LEVEL], batches, ways).candidates[LEVEL], batches, 2000)
    one = chosen["norms"]
    return with_norms(one.network, [images for images, _ in batches]), {
        "way": f"{one.way}; norms estimated anew",
        "cut": chosen["cut"].all["cut"]["test"],
    }


if __name__ == "__main__":
    main()
