"""Channel gates beside networks that were pruned by magnitude and by Taylor scores to the same cost.

    ELASTIC_DATA=DIR python benchmarks/gates.py --networks resnet56 [--only 'gates*'] [--seeds 0]
    ELASTIC_DATA=DIR python benchmarks/gates.py --networks vgg11_bn resnet18 resnet34 --data cifar10 cifar100 svhn \
        --epochs 25 --gate-epochs 25 --gate-images 0 --tune-epochs 25 --folder build/gpu   (on a GPU, as published)
    ELASTIC_DATA=DIR python benchmarks/gates.py --networks vgg11_bn --data cifar100 --epochs 8 --gate-epochs 2 \
        --gate-images 0 --tune-epochs 3 --only 'gates*' magnitude --precision float32   (reduced, on a CPU)
    python benchmarks/gates.py --table docs/gates-table.md

The baseline is the checkpoint in ELASTIC_DATA where there is one, and trained for `--epochs` otherwise. `gates PRESET`
learns gates on so many images, for so many epochs, cuts, repairs and tunes. `magnitude` and `taylor` prune at the same
cost, are repaired on as many images, and tuned for as many images more as gates were learned on. Accuracies are of the
last epoch, on all test images. A run that was stopped goes on where it was.
"""

import argparse
import os
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from gates_table import table
from isolated import Record
from one_shot_networks import Case, Subject, opened
from records import add_record, is_asked, read_records
from short_training import add_options, recipe_of
from torch.utils.data import Subset

import elastic
from elastic import models
from elastic.data import Preprocessing, load
from elastic.gates.channels import gate_channels, gating_of
from elastic.gating import DEFAULT
from elastic.metadata import write_plain
from elastic.tensors import stored
from elastic.training import train

CLASSES = {"cifar10": 10, "cifar100": 100, "svhn": 10}
CONTROLS = ("magnitude", "taylor")
IMAGES = 2048  # for scores and the repair


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Channel gates beside magnitude and Taylor pruning at equal cost.")
    parser.add_argument("--networks", nargs="*", default=["resnet20"])
    parser.add_argument("--data", nargs="*", default=["cifar10"], choices=list(CLASSES))
    parser.add_argument("--presets", nargs="*", default=[DEFAULT])
    parser.add_argument("--target", default="macs=60%")
    parser.add_argument("--only", nargs="*", default=["*"], help=f"patterns of 'gates PRESET', {', '.join(CONTROLS)}")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--epochs", type=int, default=25, help="of the baseline, where there is no checkpoint")
    parser.add_argument("--gate-epochs", type=int, default=2)
    parser.add_argument("--gate-images", type=int, default=20_000, help="0: all")
    parser.add_argument("--tune-epochs", type=int, default=4)
    parser.add_argument("--learning-rate", type=float, default=0.02)
    add_options(parser, "build/gates")
    asked = parser.parse_args(arguments)
    out = asked.folder / "records.jsonl"
    if asked.table:
        asked.table.write_text(table(read_records(out)) + "\n")
        return
    torch.set_num_threads(asked.threads)
    asked.folder.mkdir(parents=True, exist_ok=True)
    ways = [*(f"gates {preset}" for preset in asked.presets), *CONTROLS]
    for network in asked.networks:
        for data in asked.data:
            for seed in asked.seeds:
                for way in ways:
                    name = f"{network}, {data}, {asked.target}, {way}, seed {seed}"
                    if is_asked(way, asked.only):
                        add_record(out, name, partial(run, network, data, way, asked, seed, asked.folder / name))


def baseline(network: str, data: str, asked: argparse.Namespace) -> Subject:
    """Return a trained network with its images."""
    folder = Path(os.environ["ELASTIC_DATA"])
    if is_given(network, data):
        return opened(Case(f"{network}_{data}", f"elastic/{network}", CLASSES[data]))
    path = asked.folder / f"{network}_{data}.safetensors"
    if not path.exists():
        torch.manual_seed(0)
        model = models.build(f"elastic/{network}", num_classes=CLASSES[data])
        images = load(f"{data}:{folder}", train=True, preprocessing=Preprocessing.default(f"elastic/{network}"))
        how = recipe_of(asked, asked.epochs, 0).model_copy(update={"learning_rate": 0.05})
        train(model, images, how, keep=path.with_suffix(".training"), report=tell)
        write_plain(path, {name: stored(tensor) for name, tensor in model.state_dict().items()})
    return opened(Case(f"{network}_{data}", f"elastic/{network}", CLASSES[data]), path)


def is_given(network: str, data: str) -> bool:
    """Return whether there is a checkpoint to begin with."""
    return (Path(os.environ["ELASTIC_DATA"]) / "checkpoints" / f"{network}_{data}.safetensors").exists()


def run(network: str, data: str, way: str, asked: argparse.Namespace, seed: int, keep: Path) -> Record:
    """Return the accuracies and costs of one way."""
    subject, begin = baseline(network, data, asked), time.perf_counter()
    count = len(subject.training)  # type: ignore[arg-type]
    images = min(asked.gate_images or count, count)
    found: Record = {"network": network, "data": data, "way": way, "seed": seed, "training": count}
    found["begin"] = "checkpoint" if is_given(network, data) else f"{asked.epochs} epochs"
    found |= {"dense": subject.accuracy(subject.model)["test"], "images": images}
    if way not in CONTROLS:
        chosen = torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:images].tolist()
        learning, tuning = recipe_of(asked, asked.gate_epochs, seed), recipe_of(asked, asked.tune_epochs, seed)
        pruned, (stage,) = gate_channels(
            subject.model, subject.example, subject.training, learning, target=asked.target, calibration=IMAGES,
            gate_images=Subset(subject.training, chosen), gating=gating_of(way.partition(" ")[2]), fine_tune=tuning,
            measure=lambda network: subject.accuracy(network)["test"],
            keep=keep.with_suffix(".training"), report=lambda name, epoch: tell(epoch, name),
        )  # fmt: skip
        found |= {"top1": stage.top1, "costs": stage.costs, "changed": stage.changed}
        epochs = [*stage.epochs, *stage.tuning]
    else:
        more = round(asked.gate_epochs * images / count)
        tuning = recipe_of(asked, asked.tune_epochs + more, seed)
        batches: Any = subject.batches(IMAGES, 128, seed)
        pruned = elastic.prune(
            subject.model, subject.example, target=asked.target, criterion=way, data=batches, seed=seed
        )
        small = pruned.level(0)
        top1 = {"recovered": subject.accuracy(small)["test"]}
        small.to(memory_format=torch.contiguous_format).requires_grad_(True)
        path = keep.with_suffix(".training")
        epochs = list(train(small, subject.training, tuning, teacher=subject.model, keep=path, report=tell))
        found |= {"top1": {**top1, "tuned": subject.accuracy(small)["test"]}}
    cost = pruned.cost(0)
    whole = pruned.cost(1)
    found |= {"macs": cost.macs / whole.macs, "params": cost.params / whole.params, "recipe": tuning.model_dump()}
    found |= {"trained": round(sum(e.seconds for e in epochs)), "seconds": round(time.perf_counter() - begin)}
    return found | {"gate_epochs": 0 if way in CONTROLS else asked.gate_epochs, "threads": asked.threads}


def tell(epoch: Any, name: str = "") -> None:
    print(name, epoch.model_dump_json(), flush=True)


if __name__ == "__main__":
    main()
