"""Zeros that stay exactly zero, whatever trains the rest."""

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from elastic.gates.weights import magnitude_pruned, zeros_kept
from elastic.recipes import Recipe
from elastic.training import train

WAYS = {
    "momentum and decay": {"learning_rate": 0.5, "momentum": 0.9, "weight_decay": 0.1},
    "adamw": {"optimiser": "adamw", "learning_rate": 0.05, "weight_decay": 0.1},
    "an average": {"learning_rate": 0.5, "average": 0.7},
    "bfloat16": {"learning_rate": 0.5, "precision": "bfloat16"},
}


def images():
    return TensorDataset(torch.randn(60, 1, 8, 8), torch.arange(60) % 10)


def network():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))


def tuned(how, keeps=True):
    model, masks = magnitude_pruned(network(), sparsity=0.8)
    recipe = Recipe(epochs=3, batch=10, shift=1, mirror=False, **how)
    train(model, images(), recipe, hook=zeros_kept(model, masks) if keeps else None)
    return model, masks


@pytest.mark.parametrize("how", WAYS.values(), ids=WAYS)
def test_zeros_stay_zero_bit_for_bit_and_the_rest_learns(how):
    model, masks = tuned(how)
    for name, mask in masks.items():
        weight = model.get_parameter(name).detach()
        assert not weight[~mask].view(torch.int32).any()  # no negative zero either
        assert (weight[mask] != 0).all()


@pytest.mark.parametrize("how", WAYS.values(), ids=WAYS)
def test_without_the_hook_they_would_not(how):
    model, masks = tuned(how, keeps=False)
    assert all((model.get_parameter(name)[~mask] != 0).any() for name, mask in masks.items())


def test_zeros_stay_zero_in_every_step():
    model, masks = magnitude_pruned(network(), sparsity=0.8)
    seen = []

    def look(moment):
        seen.append(max(float(model.get_parameter(name).detach()[~mask].abs().max()) for name, mask in masks.items()))

    recipe = Recipe(epochs=2, batch=10, shift=1, mirror=False, learning_rate=0.5)
    train(model, images(), recipe, hook=zeros_kept(model, masks), progress=look)
    assert seen == [0.0] * 12
