"""Levels that share one file beside networks that were pruned and tuned alone: the same start, recipe and epochs.

    ELASTIC_DATA=DIR python benchmarks/nested.py [--only 'alone*'] [--seeds 0] [--epochs 10]
    ELASTIC_DATA=DIR python benchmarks/nested.py --epochs 100 --folder build/gpu   (on a GPU, its real budget)
    python benchmarks/nested.py --table docs/nested.md --picture docs/nested.png

ResNet-20 of CIFAR-10, levels of 25, 50 and 75 % of the MACs and the whole, ranked by energy on 2,048 images and
repaired. `joint` trains all of them at once for so many epochs; `grow` does so for three quarters of them, and then
trains each by itself around the smaller ones for the others; `alone` tunes each of the three for as many, all of its
weights (`elastic fine-tune`). Accuracies are those of the last epoch on the 10,000 test images. A run that was stopped
goes on where it was.
"""

import argparse
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from isolated import Record
from nested_table import draw, table
from one_shot_networks import Subject, case_of, opened
from records import add_record, is_asked, read_records

import elastic
from elastic.checkpoint import load
from elastic.nesting import nest
from elastic.training import Recipe
from elastic.tuning import fine_tune

CASE = case_of("resnet20_cifar10")
TARGETS = ("macs=25%", "macs=50%", "macs=75%")
NAMES = ("start", *(f"alone {target}" for target in TARGETS), "grow", "joint")
IMAGES = 2048  # for scores and repair, without labels


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Levels of one file beside networks that were tuned alone.")
    parser.add_argument("--only", nargs="*", default=["*"], help=f"patterns of {', '.join(NAMES)}".replace("%", "%%"))
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--learning-rate", type=float, default=0.05)
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("build/nested"), help="for records, files, what is begun")
    parser.add_argument("--table", type=Path, help="write the records as Markdown, and run nothing")
    parser.add_argument("--picture", type=Path, help="draw the records, and run nothing")
    asked = parser.parse_args(arguments)
    out = asked.folder / "records.jsonl"
    if asked.table:
        asked.table.write_text(table(read_records(out)) + "\n")
    if asked.picture:
        draw(read_records(out), asked.picture)
    if asked.table or asked.picture:
        return
    torch.set_num_threads(asked.threads)
    asked.folder.mkdir(parents=True, exist_ok=True)
    subject = opened(CASE)
    for seed in asked.seeds:
        for name in NAMES:
            if is_asked(name, asked.only):
                how = recipe(asked, seed)
                add_record(out, f"{name}, seed {seed}", partial(run, subject, name, how, asked.folder, asked.threads))


def recipe(asked: argparse.Namespace, seed: int) -> Recipe:
    return Recipe(
        epochs=asked.epochs, learning_rate=asked.learning_rate, schedule="cosine", warm_up=0.05, label_smoothing=0.0,
        distil=0.9, precision=asked.precision, seed=seed,
    )  # fmt: skip


def run(subject: Subject, name: str, how: Recipe, folder: Path, threads: int) -> Record:
    """Return the accuracy of each level of the file that is made, and what it took."""
    start = folder / f"start-{how.seed}.safetensors"
    output = folder / f"{name}-{how.seed}.safetensors"
    begin, keep = time.perf_counter(), output.with_suffix(".training")
    epochs: list[Any] = []
    if name == "start":
        inputs = [x for x, _ in subject.batches(IMAGES, CASE.batch, how.seed)]
        pruned = elastic.prune(subject.model, subject.example, target=list(TARGETS), data=inputs, seed=how.seed)
        pruned.save(start, model_name=CASE.network, overwrite=True)
        output = start
    elif name in ("grow", "joint"):

        def tell(level: str, epoch: Any) -> None:
            print(name, level, epoch.model_dump_json(), flush=True)

        told = nest(start, output, subject.training, how, way=name, keep=keep, report=tell, overwrite=True)  # type: ignore[arg-type]
        epochs = [epoch for each in told.values() for epoch in each]
    else:
        level = name.partition(" ")[2]
        epochs = list(fine_tune(start, output, subject.training, how, level=level, keep=keep, overwrite=True))
        found = {level: subject.accuracy(load(output, level))["test"]}
    if name.partition(" ")[0] != "alone":
        header = elastic.metadata.read_header(output)
        found = {each.name: subject.accuracy(load(output, each.name))["test"] for each in header.levels}
    seconds = round(sum(epoch.seconds for epoch in epochs) if epochs else time.perf_counter() - begin)
    record: Record = {
        "what": name,
        "seed": how.seed,
        "threads": threads,
        "accuracy": found,
        "seconds": seconds,
        "bytes": output.stat().st_size,
    }
    return record | ({"recipe": how.model_dump(mode="json")} if epochs else {})


if __name__ == "__main__":
    main()
