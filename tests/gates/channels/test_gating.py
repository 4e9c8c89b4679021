"""Gating channels: targets, nested stages, cuts that equal gates, going on after a stop, null tests."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Subset, TensorDataset

import elastic
from elastic import models
from elastic.costs import CostModel
from elastic.data import Preprocessing, evaluate, images_loader, load
from elastic.errors import InvalidRecipe, TargetError, UnknownName
from elastic.gates import OPENINGS, Gates
from elastic.gates.channels import Aim, Gated, Gating, Learning, Price, gate_channels, gating_of
from elastic.proofs import same_bits
from elastic.recipes import Recipe
from elastic.training import train

NETWORK = "elastic/digits_resnet"
EXAMPLE = torch.zeros(1, 1, 8, 8)
RECIPE = Recipe(epochs=4, shift=1, mirror=False, batch=64, learning_rate=0.05)
QUICK = RECIPE.model_copy(update={"epochs": 2})
GATING = Gating()


@pytest.fixture(scope="module")
def tested():
    return images_loader(load("digits", train=False, preprocessing=Preprocessing.default(NETWORK)), 250)


@pytest.fixture(scope="module")
def done(trained, digits, tested):
    return gate_channels(
        trained, EXAMPLE, digits, QUICK, target=["macs=30%", "macs=60%"], gating=GATING, fine_tune=QUICK,
        measure=lambda network: evaluate(network, tested).top1,
    )  # fmt: skip


def test_levels_keep_their_targets_and_are_as_large_as_fits(done):
    pruned, _ = done
    shares = [pruned.cost(level).macs / pruned.cost(2).macs for level in range(2)]
    assert [0.55 < shares[1] <= 0.6, 0.25 < shares[0] <= 0.3] == [True, True]
    assert pruned.names == ("macs=30%", "macs=60%", "full")


def test_what_is_tuned_is_better_than_chance_by_far(done, tested):
    pruned, stages = done
    assert [stage.top1["tuned"] > 85 for stage in stages] == [True, True]
    found = [evaluate(pruned.level(level), tested).top1 for level in (1, 0)]
    assert found == [stage.top1["tuned"] for stage in stages]


def test_the_accuracy_of_hard_gates_is_that_of_the_cut_network(done):
    _, stages = done
    assert [stage.top1["hard"] - stage.top1["cut"] for stage in stages] == [0, 0]


def test_what_one_target_closes_stays_closed(done):
    _, (first, second) = done
    assert first.aim.name == "macs=60%"
    assert not (second.stays & ~first.stays).any()
    assert second.stays.sum() < first.stays.sum()


def test_each_epoch_tells_densities_costs_and_temperature(done):
    _, stages = done
    told = stages[0].epochs[-1].told
    assert set(told) == {
        "density_soft", "density_hard", "macs_soft", "macs_hard", "gate_temperature", "strength",
    }  # fmt: skip
    assert stages[0].costs["settled"] <= 0.6


def test_the_file_gives_back_the_model_bit_for_bit(done, trained, tmp_path):
    pruned, _ = done
    pruned.save(tmp_path / "n.safetensors", model_name=NETWORK)
    whole = elastic.load_state(tmp_path / "n.safetensors", "full")
    assert all(same_bits(tensor, whole[name]) for name, tensor in trained.state_dict().items())
    for level in range(2):
        found = elastic.load_state(tmp_path / "n.safetensors", level)
        assert all(same_bits(tensor, found[name]) for name, tensor in pruned.level(level).state_dict().items())


def test_the_order_of_scores_is_that_in_which_gates_closed(done):
    pruned, stages = done
    for stage in stages:
        assert pruned.scores[~stage.stays].max() < pruned.scores[stage.stays].min()


def test_a_width_in_between_is_pruned_in_the_order_in_which_gates_closed(done, trained, tmp_path):
    gated, (first, second) = done
    gated.save(tmp_path / "n.safetensors", model_name=NETWORK)
    between = elastic.prune(trained, EXAMPLE, target="macs=45%", gates=tmp_path / "n.safetensors")
    assert between.recipe["criterion"] == "gates"
    stays = between.levels == 0
    assert gated.scores[~stays].mean() < gated.scores[stays].mean()
    assert (stays & second.stays).sum() / second.stays.sum() > 0.95
    assert (stays & ~first.stays).sum() / stays.sum() < 0.05


@pytest.mark.parametrize("stopped_in", [9, 14])
def test_what_goes_on_ends_with_the_same_bits(trained, digits, tmp_path, stopped_in):
    few = Subset(digits, range(256))
    how = {"target": "macs=60%", "gating": GATING, "fine_tune": QUICK}
    whole, stages = gate_channels(trained, EXAMPLE, few, QUICK, **how)

    class Stopped(Exception):
        pass

    steps = []

    def stop(name, moment):
        steps.append(name)
        if len(steps) == stopped_in:
            raise Stopped

    kept = {"keep": tmp_path / "gates.training", "log": tmp_path / "gates.jsonl"}
    with pytest.raises(Stopped):
        gate_channels(trained, EXAMPLE, few, QUICK, progress=stop, **how, **kept)
    assert steps[-1] == ("macs=60%, gates" if stopped_in < 8 else "macs=60%, cut")
    again, told = gate_channels(trained, EXAMPLE, few, QUICK, **how, **kept)
    assert [epoch.told for epoch in told[0].epochs] == [epoch.told for epoch in stages[0].epochs]
    assert np.array_equal(again.levels, whole.levels)
    for level in range(2):
        found, wanted = again.level(level).state_dict(), whole.level(level).state_dict()
        assert all(same_bits(tensor, wanted[name]) for name, tensor in found.items())


def test_a_higher_strength_closes_more(trained, digits):
    pruned, (none, weak, strong) = gate_channels(
        trained,
        EXAMPLE,
        Subset(digits, range(512)),
        QUICK,
        strength=[0.3, 0.02, 1e-9],
        gating=GATING,
        keep_at_least=0.25,
    )
    assert [each.aim.name for each in (none, weak, strong)] == ["strength=1e-09", "strength=0.02", "strength=0.3"]
    assert none.stays.all()
    assert int(pruned.levels.max()) == 2  # a strength that closes nothing is no level
    assert strong.costs["settled"] < weak.costs["settled"] < 1


def test_held_out_images_are_judged_soft_and_hard(trained, digits):
    _, stages = gate_channels(
        trained, EXAMPLE, Subset(digits, range(256)), QUICK, target="macs=60%", gating=GATING,
        validation=Subset(digits, range(256, 512)),
    )  # fmt: skip
    assert all({"top1_soft", "top1_hard"} <= epoch.told.keys() for epoch in stages[0].epochs)


def learning_of(model, example, gates, share=None, strength=0.0, **settings):
    plan = elastic.trace(model, example)
    gated = Gated(model, plan, gates(plan.units))
    aim = Aim("", share=share, strength=strength)
    return gated, Learning(gated, Price(plan), aim, Gating(**settings))


@pytest.mark.parametrize("opening", OPENINGS)
def test_nothing_closes_without_a_price_and_without_a_task(trained, digits, opening):
    model = copy.deepcopy(trained)
    nn.init.zeros_([m for m in model.modules() if isinstance(m, nn.Linear)][-1].weight)  # no gradient reaches a gate
    gated, learning = learning_of(model, EXAMPLE, lambda units: Gates(units, opening), hottest=1)
    recipe = QUICK.model_copy(update={"weight_decay": 0.1, "distil": 0.0})
    train(gated, digits, recipe, hook=learning, parameters=[gated.gates.logits])
    assert torch.equal(gated.gates.logits, torch.full_like(gated.gates.logits, 2.0))


def test_with_shuffled_labels_accuracy_is_chance(trained, digits, tested):
    images = torch.stack([image for image, _ in digits])
    labels = torch.tensor([label for _, label in digits])
    shuffled = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))]
    torch.manual_seed(0)
    untrained = models.build(NETWORK)
    _, stages = gate_channels(
        untrained, EXAMPLE, TensorDataset(images, shuffled), RECIPE.model_copy(update={"distil": 0.0}),
        target="macs=60%", gating=GATING, measure=lambda network: evaluate(network, tested).top1,
    )  # fmt: skip
    assert stages[0].top1["cut"] < 25  # true labels: 79
    assert stages[0].top1["recovered"] < 25  # 10 classes, 360 images: 17 is four standard errors above chance


@pytest.mark.parametrize("preset", ["hard-concrete", "binary"])
def test_planted_channels_that_nothing_needs_are_the_ones_that_close(trained, digits, preset):
    model, others = copy.deepcopy(trained), ["conv1", "layer1*", "layer2*", "layer3.0.conv2"]
    plan = elastic.trace(model, EXAMPLE, freeze=others)
    (group,) = plan.groups  # of 64 units
    stays = np.ones(plan.units, np.bool_)
    stays[::2] = False
    with torch.no_grad():
        for name, weight in Gated(model, plan, Gates(plan.units)).weights(torch.from_numpy(stays).float()).items():
            model.get_parameter(name).copy_(weight)  # nothing reads every other unit
    share = CostModel(plan).cost(stays).macs / CostModel(plan).dense.macs
    _, (stage,) = gate_channels(
        model, EXAMPLE, digits, RECIPE.model_copy(update={"batch": 32}), target=f"macs={share:.4%}", freeze=others,
        gating=gating_of(preset, prior="none", travel=10, proportional=200, integral=400, train_weights=False),
    )  # fmt: skip
    assert len(group.units) == 64
    assert stage.stays[::2].sum() <= 8  # of 32; by chance 16; others are of little use too
    assert stage.stays[1::2].sum() >= 24


@pytest.mark.parametrize(
    ("how", "error", "told"),
    [
        ({"target": ()}, UnknownName, "neither was given"),
        ({"strength": [0.1]}, UnknownName, "both were given"),
        ({"target": "macs=60%,params=50%"}, TargetError, "has 2 limits"),
        ({"target": ["macs=60%", "params=50%"]}, TargetError, "targets of macs and params"),
        ({"target": ["macs=60%", "macs=60%"]}, TargetError, "ask for the same twice"),
        ({"target": "macs=0.001%"}, TargetError, "cannot be reached"),
        ({"target": "macs=100%"}, TargetError, "no less than the whole network"),
        ({"target": (), "strength": [-1.0]}, UnknownName, "strength -1 is no price"),
        ({"target": (), "strength": [1.0], "price": "latency"}, UnknownName, "needs a table"),
        ({"recipe": RECIPE.model_copy(update={"patience": 1})}, InvalidRecipe, "patience ends a training early"),
    ],
)
def test_what_can_not_be_done_is_refused_before_training(trained, digits, how, error, told):
    asked = {"target": "macs=60%", "recipe": RECIPE.model_copy(update={"epochs": 10**6}), **how}
    with pytest.raises(error, match=told):
        gate_channels(trained, EXAMPLE, digits, **asked)


def test_settings_are_checked():
    with pytest.raises(UnknownName, match="unknown preset 'laggy'; known: hard-concrete, binary, lag"):
        gating_of("laggy")
    with pytest.raises(InvalidRecipe, match="gates have no option 'heat'"):
        gating_of(heat=3)
    with pytest.raises(InvalidRecipe, match="cooling=2 can't be followed"):
        gating_of(cooling=2)
