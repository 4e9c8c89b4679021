"""What gates learn of their units: rank correlation of logits with the loss when each unit alone is taken out.

    python benchmarks/gate_signals.py [--seeds 0 1 2] [--table docs/gate-signals.md]

The digits of scikit-learn and a small residual network, trained; gates are learned without a price and with the weights
as they are, the network itself as the teacher. All openings take steps of one length, so they differ in what a gate
feels alone. Minutes on one thread.
"""

import argparse
import copy
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import torch
import torch.nn.functional as F
from records import markdown, provenance, setting
from scipy.stats import spearmanr
from torch import Tensor, nn
from torch.utils.data import Dataset

import elastic
from elastic import models
from elastic.data import Preprocessing, load
from elastic.gates import Gates
from elastic.gates.channels import Aim, Gated, Learning, Price, gating_of
from elastic.gating import Gating
from elastic.plan import Plan
from elastic.recipes import Recipe
from elastic.training import train

NETWORK = "elastic/digits_resnet"
WAYS: dict[str, Gating] = {
    "sigmoid, as published (lag)": gating_of("lag"),
    "sigmoid, temperature 1": gating_of("lag", hottest=1, cooling=1),
    "hard-concrete, one draw a step": gating_of(draws=1),
    "hard-concrete, four draws": gating_of(),
    "binary, one draw a step": gating_of("binary", draws=1),
    "binary, four draws": gating_of("binary"),
}
Images = Dataset[tuple[Tensor, int]]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="What gates learn of their units.")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--table", type=Path, help="write the figures as Markdown")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in WAYS}
    for seed in asked.seeds:
        images = load("digits", train=True, preprocessing=Preprocessing.default(NETWORK))
        torch.manual_seed(seed)
        model = models.build(NETWORK)
        train(model, images, Recipe(epochs=6, shift=1, mirror=False, batch=64, seed=seed))
        plan = elastic.trace(model, torch.zeros(1, 1, 8, 8))
        lost = losses(model, plan, torch.stack([images[i][0] for i in range(600)]))
        for name, gating in WAYS.items():
            logits = learned(model, plan, images, gating, seed, asked.epochs)
            within = [spearmanr(logits[list(g.units)], lost[list(g.units)])[0] for g in plan.groups]
            found[name].append((float(spearmanr(logits, lost)[0]), float(np.mean(within))))
            print(seed, name, [round(each, 2) for each in found[name][-1]], flush=True)
    if asked.table:
        asked.table.write_text(table(found, asked.epochs) + "\n")


def losses(model: nn.Module, plan: Plan, images: Tensor) -> np.ndarray:
    """Return the divergence from the network's own outputs without each unit, [units], with norms as in training."""
    network = copy.deepcopy(model)
    gated = Gated(network, plan, Gates(plan.units)).train()
    with torch.no_grad():
        wanted = F.log_softmax(model.eval()(images) / 4, 1)
        found = []
        for unit in range(plan.units):
            opened = torch.ones(plan.units)
            opened[unit] = 0
            made = F.log_softmax(gated.made(opened, (images,), {}) / 4, 1)
            found.append(float(F.kl_div(made, wanted, reduction="batchmean", log_target=True)))
    return np.array(found)


def learned(model: nn.Module, plan: Plan, images: Images, gating: Gating, seed: int, epochs: int) -> np.ndarray:
    """Return the logits of gates that were trained without a price."""
    gates = Gates(plan.units, gating.opening)
    nn.init.constant_(gates.logits, gating.begin)
    gated = Gated(copy.deepcopy(model), plan, gates, draws=gating.draws)
    how = Recipe(
        epochs=epochs, batch=64, learning_rate=0.02, schedule="cosine", warm_up=0.02, label_smoothing=0.0, distil=0.9,
        shift=1, mirror=False, seed=seed,
    )  # fmt: skip
    learning = Learning(gated, Price(plan), Aim(""), gating)
    train(gated, images, how, teacher=model, hook=learning, parameters=[gates.logits])
    return gates.logits.detach().numpy()


def table(found: dict[str, list[tuple[float, float]]], epochs: int) -> str:
    rows = [[name, *(_spread([pair[i] for pair in pairs]) for i in range(2))] for name, pairs in found.items()]
    return "\n\n".join(
        [
            "# What gates learn of their units",
            "Spearman's rank correlation of a gate's logit with the loss when its unit alone is taken out: over all "
            f"units, and the mean within groups; {epochs} epochs of 1,437 digits without a price, the weights as they "
            "are; mean and standard deviation of "
            f"{len(next(iter(found.values())))} seeds (`python benchmarks/gate_signals.py`).",
            markdown(["gates", " all units", " within groups"], rows),
            setting(("torch",), [provenance()]),
        ]
    )


def _spread(values: list[float]) -> str:
    return f"{mean(values):.2f} ± {stdev(values):.2f}" if len(values) > 1 else f"{values[0]:.2f}"


if __name__ == "__main__":
    main()
