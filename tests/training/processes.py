"""Train in one of several processes, as `torchrun` starts them: python processes.py OUTPUT [rounded | gated]."""

import sys
from functools import partial

import torch
from safetensors.torch import save_file
from torch import nn

from elastic.data import Preprocessing, load
from elastic.dynamic.channel import gate_channels_dynamically
from elastic.dynamic.precision import gate_precision
from elastic.dynamic_gating import channel_gating_of, precision_gating_of
from elastic.quantise import quantise
from elastic.quantise.activations import RANGES
from elastic.training import Recipe, leave_processes, train

RECIPE = Recipe(epochs=2, batch=250, shift=1, mirror=False, average=0.5)


def plain(model, digits):
    """Return what a network came to, and what was told of it."""
    epochs = train(model, digits, RECIPE)
    return {**model.state_dict(), "loss": torch.tensor([epoch.loss for epoch in epochs])}


def rounded(model, digits):
    """Return what it came to with each kind of ranges."""
    found = {}
    recipe = RECIPE.model_copy(update={"epochs": 1, "learning_rate": 0.01})
    for ranges in RANGES:
        network, epochs = quantise(model, digits, recipe, ranges=ranges, weights="learned", calibration=100, price=0.1)
        found |= {f"{ranges}.{name}": tensor for name, tensor in network.state_dict().items()}
        found[f"{ranges}.loss"] = torch.tensor([epoch.loss for epoch in epochs])
    return found


def gated(model, digits):
    """Return what it came to with gates that inputs decide, drawn to a budget."""
    found, example = {}, torch.zeros(1, 1, 8, 8)
    recipe = RECIPE.model_copy(update={"epochs": 1, "learning_rate": 0.01})
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), *model)
    model[3] = nn.Conv2d(4, 4, 3)
    model[-1] = nn.Linear(64, 10)
    ways = {
        "channel": partial(gate_channels_dynamically, gating=channel_gating_of("paper", budget=0.8)),
        "precision": partial(gate_precision, gating=precision_gating_of("calibrated", layers=("3",))),
    }
    for kind, way in ways.items():
        network, _, epochs = way(model, example, digits, recipe, calibration=100)
        found |= {f"{kind}.{name}": tensor for name, tensor in network.state_dict().items()}
        found[f"{kind}.told"] = torch.tensor([[epoch.loss, epoch.told["cost"]] for epoch in epochs])
    return found


def main(output: str, how: str = "plain") -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
    digits = load("digits", train=True, preprocessing=Preprocessing.default("elastic/digits_resnet"))
    found = {"plain": plain, "rounded": rounded, "gated": gated}[how](model, digits)
    if not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0:
        save_file(found, output)
    leave_processes()


if __name__ == "__main__":
    main(*sys.argv[1:])
