"""Every criterion on ResNet-56 with real images: seconds beside torch-pruning's own, and rank correlation with a loop.

    ELASTIC_DATA=DIR python benchmarks/criteria.py [--images 256] [--batch 64] [--table FILE]

One process, one thread, each once, in turn. Both sides get the same images of CIFAR-10 in the same batches. Theirs is
what its documentation shows: for Taylor a backward pass a batch, for its Hessian a forward pass a batch and a backward
pass for each sample of it. The time of listing its groups is not counted. The loop is written from the formula: one
forward and one backward pass a sample, alone, then each unit's slices one by one; Spearman's rank correlation over all
units. Where it says -, there is no such thing of theirs, or no loop.
"""

import argparse
import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import torch_pruning as tp
from scipy.stats import spearmanr
from torch import Tensor, nn
from torch_pruning.pruner.importance import ActivationImportance, FPGMImportance

import elastic
from elastic import models
from elastic.data import Preprocessing, images_loader, load
from elastic.importance import CRITERIA, HESSIANS, score
from elastic.plan import Plan
from elastic.weights import load_weights, read_weights

NAME = "elastic/resnet56"
Data = list[tuple[Tensor, Tensor]]
AS_OURS: dict[str, Any] = {"group_reduction": "sum", "normalizer": None}


def main() -> None:
    parser = argparse.ArgumentParser(description="Time every criterion; beside torch-pruning, and against a loop.")
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--table", type=Path, help="write the table into this file too")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    model, data = opened(asked.images, asked.batch)
    plan = elastic.trace(model, data[0][0][:1])
    lines = [*head(asked.images, asked.batch), *table(model, plan, data)]
    if asked.table:
        asked.table.write_text("\n".join(lines) + "\n")


def opened(images: int, batch: int) -> tuple[nn.Module, Data]:
    """Return the trained network, and batches of its training images."""
    folder = Path(os.environ["ELASTIC_DATA"])
    weights = folder / "checkpoints" / "resnet56_cifar10.safetensors"
    model = models.build(NAME).eval()
    load_weights(model, read_weights(weights))
    preprocessing = Preprocessing.beside(weights, Preprocessing.default(NAME))
    dataset = load(f"cifar10:{folder}", train=True, preprocessing=preprocessing)
    return model, list(images_loader(dataset, batch, limit=images, seed=0))


def head(images: int, batch: int) -> list[str]:
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "torch-pruning"))
    busy = f"load {os.getloadavg()[0]:.1f} at the start"
    lines = [
        f"{NAME}, {images} images of CIFAR-10 in batches of {batch}; {cpu()}, {os.cpu_count()} cores, one "
        f"thread, {busy}; Python {platform.python_version()}, {versions}; {time.strftime('%F')}.",
        "",
        "| criterion | ours, s | torch-pruning, s | ratio | rank correlation with the loop |",
        "|---|---:|---:|---:|---:|",
    ]
    print("\n".join(lines), flush=True)
    return lines


def cpu() -> str:
    found = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return found[0].partition(": ")[2] if found else platform.machine()


def table(model: nn.Module, plan: Plan, data: Data) -> list[str]:
    """Return the rows of all criteria, and print each as soon as it is there."""
    loops, loop_seconds = looped(model, plan, data)
    graph = tp.DependencyGraph().build_dependency(model, data[0][0][:1])
    groups = list(graph.get_all_groups())
    score(model, plan, "taylor", data=data[:1])  # warms up
    lines = []
    for name in CRITERIA:
        for way in HESSIANS if name == "hessian" else ("",):
            gates = torch.linspace(0, 1, plan.units)
            seconds, ours = timed(
                lambda n=name, w=way or "obd", g=gates: score(model, plan, n, data=data, hessian=w, gates=g)
            )
            other = THEIRS.get(way or name)
            theirs = timed(lambda run=other: run(model, groups, data))[0] if other else None
            shown = [f"{name} {way}".strip(), f"{seconds:.3f}", f"{theirs:.3f}" if theirs else "-"]
            shown.append(f"{theirs / seconds:.1f}x" if theirs else "-")
            shown.append(f"{spearmanr(ours, loops[way or name]).statistic:.6f}" if (way or name) in loops else "-")
            lines.append(f"| {' | '.join(shown)} |")
            print(lines[-1], flush=True)
    lines += ["", f"The loop over single samples, for Taylor and OBD together, took {loop_seconds:.1f} s."]
    print(lines[-1])
    return lines


def timed(action: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = action()
    return time.perf_counter() - start, result


def looped(model: nn.Module, plan: Plan, data: Data) -> tuple[dict[str, np.ndarray], float]:
    """Return scores by unit from loops over samples and units, in float64, and the seconds that the samples took."""
    weights = {name: weight for name, weight in model.named_parameters() if not name.endswith("bias")}
    sums = {name: torch.zeros_like(weight, dtype=torch.float64) for name, weight in weights.items()}
    squares = {name: torch.zeros_like(total) for name, total in sums.items()}
    start, count = time.perf_counter(), 0
    for images, labels in data:
        for number in range(len(labels)):
            loss = F.cross_entropy(model(images[number : number + 1]), labels[number : number + 1])
            for name, found in zip(weights, torch.autograd.grad(loss, list(weights.values())), strict=True):
                sums[name] += found
                squares[name] += found.double() ** 2
            count += 1
    seconds = time.perf_counter() - start
    own = {name: weight.detach().double() for name, weight in weights.items()}
    return {
        "magnitude": by_unit({name: w**2 for name, w in own.items()}, plan),
        "magnitude-l1": by_unit({name: w.abs() for name, w in own.items()}, plan),
        "taylor": by_unit({name: (w * sums[name] / count).abs() for name, w in own.items()}, plan),
        "taylor-signed": by_unit({name: w * sums[name] / count for name, w in own.items()}, plan) ** 2,
        "obd": by_unit({name: w**2 * squares[name] / count / 2 for name, w in own.items()}, plan),
    }, seconds


def by_unit(values: dict[str, Tensor], plan: Plan) -> np.ndarray:
    totals = np.zeros(plan.units)
    for (name, axis), labels in plan.axes.items():
        if name in values:
            for position, unit in enumerate(labels.tolist()):
                totals[unit] += values[name].select(axis, position).sum().item() if unit >= 0 else 0
    return totals


def of_weights(make: Callable[[], Any]) -> Callable[..., None]:
    def run(model: nn.Module, groups: list[Any], data: Data) -> None:
        importance = make()
        for group in groups:
            importance(group)

    return run


def their_taylor(model: nn.Module, groups: list[Any], data: Data) -> None:
    model.zero_grad()
    for images, labels in data:
        F.cross_entropy(model(images), labels).backward()
    of_weights(lambda: tp.importance.GroupTaylorImportance(**AS_OURS))(model, groups, data)
    model.zero_grad()


def their_hessian(model: nn.Module, groups: list[Any], data: Data) -> None:
    importance = tp.importance.GroupHessianImportance(**AS_OURS)
    importance.zero_grad()
    for images, labels in data:
        for loss in F.cross_entropy(model(images), labels, reduction="none"):
            model.zero_grad()
            loss.backward(retain_graph=True)
            importance.accumulate_grad(model)
    for group in groups:
        importance(group)
    model.zero_grad()


def their_activation(model: nn.Module, groups: list[Any], data: Data) -> None:
    importance = ActivationImportance(**AS_OURS)
    with importance.compute_importance(model), torch.no_grad():
        for images, _ in data:
            model(images)
    for group in groups:
        importance(group)


THEIRS: dict[str, Callable[..., None]] = {
    "magnitude": of_weights(lambda: tp.importance.GroupMagnitudeImportance(p=2, **AS_OURS)),
    "magnitude-l1": of_weights(lambda: tp.importance.GroupMagnitudeImportance(p=1, **AS_OURS)),
    "norm-scale": of_weights(lambda: tp.importance.BNScaleImportance(**AS_OURS)),
    "lamp": of_weights(lambda: tp.importance.LAMPImportance(group_reduction="sum")),
    "fpgm": of_weights(lambda: FPGMImportance(**AS_OURS)),
    "activation": their_activation,
    "taylor": their_taylor,
    "obd": their_hessian,
    "random": of_weights(tp.importance.RandomImportance),
}

if __name__ == "__main__":
    main()
