import copy
import math

import pytest
import torch

from elastic import models
from elastic.data import Preprocessing, evaluate, images_loader, load
from elastic.picturing import Point, draw_levels
from elastic.proofs import same_bits
from elastic.training import norm_parameters, train

NETWORK = "elastic/digits_resnet"


@pytest.fixture(scope="module")
def digits():
    return load("digits", train=True, preprocessing=Preprocessing.default(NETWORK))


@pytest.fixture
def model():
    torch.manual_seed(0)
    return models.build(NETWORK)


def trained(model, digits, **options):
    found = copy.deepcopy(model)
    train(found, digits, **{"epochs": 1, "seed": 0} | options)
    return found


def test_a_few_epochs_are_much_better_than_chance(model, digits):
    held_out = load("digits", train=False, preprocessing=Preprocessing.default(NETWORK))
    found = trained(model, digits, epochs=5)
    assert evaluate(found, images_loader(held_out, 360)).top1 > 80
    assert not found.training


def test_the_same_seed_gives_the_same_weights(model, digits):
    one, other = (trained(model, digits).state_dict() for _ in range(2))
    assert all(same_bits(one[name], other[name]) for name in one)


def test_another_seed_gives_other_weights(model, digits):
    one, other = (trained(model, digits, seed=seed) for seed in (0, 1))
    assert not torch.equal(one.conv1.weight, other.conv1.weight)


def test_only_the_given_parameters_are_trained(model, digits):
    before = copy.deepcopy(model.state_dict())
    chosen = norm_parameters(model)
    train(model, digits, epochs=1, parameters=chosen)
    changed = {name for name, tensor in model.named_parameters() if not same_bits(before[name], tensor)}
    assert changed == {name for name, tensor in model.named_parameters() if tensor.dim() <= 1}


def test_norms_estimate_their_statistics_anew_while_others_are_trained(model, digits):
    before = model.bn1.running_mean.clone()
    train(model, digits, epochs=1, parameters=[model.fc.bias])
    assert not torch.equal(before, model.bn1.running_mean)


def test_norm_parameters_are_weights_and_biases_of_norms_and_biases_of_layers(model):
    names = {id(tensor): name for name, tensor in model.named_parameters()}
    found = {names[id(tensor)] for tensor in norm_parameters(model)}
    assert "fc.bias" in found
    assert not any("conv" in name for name in found)
    assert {name for name in names.values() if "bn" in name} <= found


def test_progress_counts_every_step(model, digits):
    seen = []
    train(model, digits, epochs=2, batch_size=500, progress=lambda done, total: seen.append((done, total)))
    steps = 2 * math.ceil(len(digits) / 500)
    assert seen == [(step, steps) for step in range(1, steps + 1)]


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_levels_are_drawn(tmp_path, suffix):
    points = [Point("macs=50%", 10**6, 10**5, 91.0), Point("full", 2 * 10**6, 2 * 10**5, 93.0)]
    draw_levels(points, tmp_path / f"levels.{suffix}", "a title")
    assert (tmp_path / f"levels.{suffix}").stat().st_size > 5000


def test_one_level_that_is_always_right_is_drawn(tmp_path):
    draw_levels([Point("full", 1, 1, 100.0)], tmp_path / "levels.png", "a title")
    assert (tmp_path / "levels.png").is_file()
