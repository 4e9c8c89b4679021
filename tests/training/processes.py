"""Train in one of several processes, as `torchrun` starts them: python processes.py OUTPUT [rounded]."""

import sys

import torch
from safetensors.torch import save_file
from torch import nn

from elastic.data import Preprocessing, load
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


def main(output: str, how: str = "plain") -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
    digits = load("digits", train=True, preprocessing=Preprocessing.default("elastic/digits_resnet"))
    found = {"plain": plain, "rounded": rounded}[how](model, digits)
    if not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0:
        save_file(found, output)
    leave_processes()


if __name__ == "__main__":
    main(*sys.argv[1:])
