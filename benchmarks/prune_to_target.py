"""Time to reach 50 % of the MACs by magnitude, beside torch-pruning doing the same job with its own pruner.

    python benchmarks/prune_to_target.py [--repeats 5] [resnet50 densenet121 ...]

Ours: from the model to a cut model at the target: trace (with its trial), score, allocate, cut, fit. Theirs: its
MagnitudePruner with global pruning, recounting MACs after each iterative step (its ratio is of channels, not of MACs)
until the target is passed. It gets the fewest steps of 25, 50, 100, ... with which it lands within 0.5 % of the dense
MACs; that search is not timed. Both in one process, in turn, on random weights, one thread; medians over the repeats.
"""

import argparse
import copy
import statistics
import time
import warnings
from importlib.metadata import version

import torch
import torch_pruning as tp
import torchvision
from torch import nn

import elastic

NETWORKS = (
    "alexnet", "vgg16_bn", "resnet18", "resnet50", "resnext50_32x4d", "wide_resnet50_2", "densenet121", "mobilenet_v2",
    "mobilenet_v3_large", "mnasnet1_0", "efficientnet_b0", "squeezenet1_1", "googlenet", "regnet_y_400mf",
    "convnext_tiny",
)  # fmt: skip
STEPS = (25, 50, 100, 200, 400, 800)


def ours(model: nn.Module, example: torch.Tensor) -> tuple[float, float]:
    """Return seconds, and the share of the MACs reached."""
    start = time.perf_counter()
    pruned = elastic.prune(model, example, target="macs=50%")
    pruned.level(0)
    seconds = time.perf_counter() - start
    return seconds, pruned.cost(0).macs / pruned.cost(1).macs


def theirs(model: nn.Module, example: torch.Tensor, steps: int) -> tuple[float, float]:
    """Return seconds, and the share of the MACs reached."""
    model = copy.deepcopy(model)
    heads = [m for m in model.modules() if getattr(m, "out_features", getattr(m, "out_channels", 0)) == 1000]
    dense, _ = tp.utils.count_ops_and_params(model, example)
    start = time.perf_counter()
    pruner = tp.pruner.MagnitudePruner(
        model, example, tp.importance.GroupMagnitudeImportance(p=2), global_pruning=True, pruning_ratio=0.99,
        max_pruning_ratio=0.99, iterative_steps=steps, ignored_layers=heads,
    )  # fmt: skip
    macs = dense
    for _ in range(steps):
        pruner.step()
        macs, _ = tp.utils.count_ops_and_params(model, example)
        if macs <= 0.5 * dense:
            break
    return time.perf_counter() - start, macs / dense


def steps_that_land(model: nn.Module, example: torch.Tensor) -> int:
    """Return the fewest steps with which torch-pruning lands within 0.5 %, the most that are tried if none does."""
    return next((n for n in STEPS if abs(theirs(model, example, n)[1] - 0.5) <= 0.005), STEPS[-1])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "torchvision", "torch-pruning"))
    print(f"{versions}; one thread, {asked.repeats} repeats")
    print("| network | ours, s | reached | torch-pruning, s | reached | steps | ratio |")
    print("|---|---:|---:|---:|---:|---:|---:|", flush=True)
    ratios = []
    for name in asked.networks:
        torch.manual_seed(0)
        options = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
        model = torchvision.models.get_model(name, weights=None, **options).eval()
        example = torch.randn(1, 3, 224, 224)
        try:
            steps = steps_that_land(model, example)
        except Exception as reason:
            seconds, reached = ours(model, example)
            why = f"fails: {type(reason).__name__}: {str(reason).splitlines()[0][:60]}"
            print(f"| {name} | {seconds:.2f} | {reached:.2%} | {why} | | | |", flush=True)
            continue
        runs = [(ours(model, example), theirs(model, example, steps)) for _ in range(asked.repeats)]
        own, other = (statistics.median(pair[side][0] for pair in runs) for side in (0, 1))
        ratios.append(other / own)
        reached = (f"{runs[0][side][1]:.2%}" for side in (0, 1))
        print(
            f"| {name} | {own:.2f} | {next(reached)} | {other:.2f} | {next(reached)} | {steps} | {ratios[-1]:.1f}x |",
            flush=True,
        )
    if ratios:
        print(f"\nmedian ratio {statistics.median(ratios):.1f}x, least {min(ratios):.1f}x, over {len(ratios)} networks")


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        main()
