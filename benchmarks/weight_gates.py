"""Gates on single weights beside magnitude pruning at the same sparsity, with the same fine-tuning.

    ELASTIC_DATA=DIR python benchmarks/weight_gates.py [--only 'gates target*'] [--seeds 0] [--epochs 10]
    ELASTIC_DATA=DIR python benchmarks/weight_gates.py --epochs 60 --tune-epochs 30 --folder build/gpu   (on a GPU)
    python benchmarks/weight_gates.py --table docs/weight-gates.md

The published network on CIFAR-10: `dense` is trained for so many epochs. From it, `gates` are trained on the weights
of its classifier, as published (of all with `--layers '*'`), then baked to exact zeros and tuned; lambda is the
published one, or steered to a target. `magnitude` prunes the dense network to the same sparsity and tunes it just as
long as the gates' network was; `magnitude long` for as many epochs as the gates' training took too, and `dense longer`
is the dense network trained on for as many as that: the dense twin, of which every network has the same number of
epochs. Accuracies are those of the last epoch on the 10,000 test images. A run that was stopped goes on where it was.
"""

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from isolated import Record
from one_shot_networks import top1
from records import add_record, is_asked, read_records
from short_training import add_options
from torch import nn
from weight_gates_table import table

import elastic
from elastic import models
from elastic.data import Preprocessing, load
from elastic.gates.weights import finish, magnitude_pruned
from elastic.gates.weights.results import Sparsity
from elastic.recipes import Recipe
from elastic.training import train
from elastic.weights import load_weights, read_weights

NETWORK = "elastic/self_pruning"
LAMBDAS = (1e-5, 5e-5, 1e-4)  # as published
TARGETS = (0.9, 0.95)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Weight gates beside magnitude pruning.")
    parser.add_argument("--only", nargs="*", default=["*"], help="patterns of names, as 'gates target 0.9'")
    parser.add_argument("--lambdas", type=float, nargs="*", default=list(LAMBDAS))
    parser.add_argument("--targets", type=float, nargs="*", default=list(TARGETS))
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--epochs", type=int, default=10, help="of the dense network")
    parser.add_argument("--gate-epochs", type=int, default=3)
    parser.add_argument("--tune-epochs", type=int, default=7)
    parser.add_argument("--layers", nargs="*", default=["classifier*"], help="patterns of layers; those published")
    parser.add_argument("--opening", default="sigmoid")
    parser.add_argument("--rate", type=float, help="of gates, in learning rates of weights")
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    add_options(parser, "build/weight-gates")
    asked = parser.parse_args(arguments)
    out = asked.folder / "records.jsonl"
    if asked.table:
        asked.table.write_text(table(read_records(out)) + "\n")
        return
    torch.set_num_threads(asked.threads)
    asked.folder.mkdir(parents=True, exist_ok=True)
    for seed in asked.seeds:
        runs = Runs(asked, seed)
        for name, run in runs.all():
            if is_asked(name, asked.only):
                add_record(out, f"{name}, seed {seed}", partial(told, name, seed, asked.threads, run))


def told(name: str, seed: int, threads: int, run: Callable[[], Record]) -> Record:
    return {"what": name, "seed": seed, "threads": threads, **run()}


class Runs:
    """All trainings of one seed; the dense network comes first."""

    def __init__(self, asked: argparse.Namespace, seed: int) -> None:
        self.asked, self.seed, self.folder = asked, seed, asked.folder
        spec, preprocessing = f"cifar10:{os.environ['ELASTIC_DATA']}", Preprocessing.default(NETWORK)
        self.training, self.test = (load(spec, train=train, preprocessing=preprocessing) for train in (True, False))
        self.example = preprocessing.example()

    def all(self) -> list[tuple[str, Callable[[], Record]]]:
        """Return what is run by name, the control behind what it is a control of."""
        short, long = self.asked.tune_epochs, self.asked.gate_epochs + self.asked.tune_epochs
        found: list[tuple[str, Callable[[], Record]]] = [("dense", self.dense)]
        for key, values in (("target", self.asked.targets), ("strength", self.asked.lambdas)):
            for value in values:
                name = f"gates {'lambda' if key == 'strength' else key} {value:g}"
                found.append((name, partial(self.gates, name, **{key: value})))
                found.append((f"magnitude as {name}", partial(self.magnitude, name, short)))
                if key == "target":
                    found.append((f"magnitude long as {name}", partial(self.magnitude, name, long)))
            if key == "target":
                found.append(("dense longer", self.longer))
        return found

    def dense(self) -> Record:
        torch.manual_seed(self.seed)
        network = models.build(NETWORK).to(memory_format=torch.channels_last)
        epochs = train(network, self.training, self.recipe(self.asked.epochs), **self.files("dense"))
        elastic.save_sparse(self.path("dense"), network.state_dict(), overwrite=True)
        return self.told({"fine-tuned": self.top1(network)}, epochs, self.path("dense"))

    def longer(self) -> Record:
        network = self.start()
        how = self.recipe(self.asked.gate_epochs + self.asked.tune_epochs)
        epochs = train(network, self.training, how, **self.files("dense longer"))
        return self.told({"fine-tuned": self.top1(network)}, epochs, self.path("dense"))

    def gates(self, name: str, **aim: float) -> Record:
        done = elastic.gate_weights(
            self.start(), self.example, self.training, self.recipe(self.asked.gate_epochs),
            layers=self.asked.layers, opening=self.asked.opening, rate=self.asked.rate,
            fine_tune=self.recipe(self.asked.tune_epochs),
            measure=lambda network, stage: self.top1(network), training=self.files(name), **aim,
        )  # fmt: skip
        path = self.path(name)
        elastic.save_sparse(path, done.cut.state_dict(), overwrite=True)
        found = self.told(done.measured, [*done.gating, *done.tuning], path) | self.sparsity(done.sparsity)
        found |= {"units": [int(done.levels.sum()), len(done.levels)], "counts": list(done.histogram.counts)}
        told = {name: done.recipe["gated"][name] for name in ("strength", "rate", "opening", "threshold", "warm_up")}
        return found | {"gates": told}

    def magnitude(self, of: str, epochs: int) -> Record:
        name = f"magnitude {epochs} as {of}"
        sparsity = read_records(self.folder / "records.jsonl")[f"{of}, seed {self.seed}"]["sparsity"]
        start = self.start()
        network, masks = magnitude_pruned(start, self.asked.layers, sparsity=sparsity)
        top1 = {"hard": self.top1(network)}
        done = finish(
            network, masks, elastic.trace(start, self.example), self.training, self.recipe(epochs),
            measure=lambda network, stage: top1.update({stage: self.top1(network)}), training=self.files(name),
        )  # fmt: skip
        elastic.save_sparse(self.path(name), done.cut.state_dict(), overwrite=True)
        found = self.told(top1, done.epochs, self.path(name)) | self.sparsity(Sparsity.of(done.network, list(masks)))
        return found | {"units": [int(done.levels.sum()), len(done.levels)]}

    def start(self) -> nn.Module:
        network = models.build(NETWORK).to(memory_format=torch.channels_last)
        load_weights(network, read_weights(self.path("dense")))
        return network.eval()

    def recipe(self, epochs: int) -> Recipe:
        return Recipe(
            epochs=epochs, optimiser="adamw", learning_rate=self.asked.learning_rate, weight_decay=0.01, warm_up=0.2,
            label_smoothing=0.0, precision=self.asked.precision, seed=self.seed,
        )  # fmt: skip

    def files(self, name: str) -> dict[str, Any]:
        def tell(epoch: Any) -> None:
            print(name, epoch.model_dump_json(), flush=True)

        return {"keep": self.path(name).with_suffix(".training"), "report": tell}

    def path(self, name: str) -> Path:
        return self.folder / f"{name}-{self.seed}.safetensors".replace(" ", "-")

    def top1(self, network: nn.Module) -> float:
        return top1(network, self.test)

    def told(self, accuracy: Mapping[str, float], epochs: Sequence[Any], path: Path) -> Record:
        seconds = round(sum(epoch.seconds for epoch in epochs))
        found: Record = {"accuracy": dict(accuracy), "bytes": path.stat().st_size, "epochs": len(epochs)}
        return found | {"seconds": seconds, "loss": epochs[-1].loss, "how": settings(self.asked)}

    def sparsity(self, found: Sparsity) -> Record:
        return {"sparsity": found.overall, "layers": dict(found.layers)}


def settings(asked: argparse.Namespace) -> Record:
    kept = ("epochs", "gate_epochs", "tune_epochs", "opening", "learning_rate", "precision", "layers")
    return {name: getattr(asked, name) for name in kept}


if __name__ == "__main__":
    main()
