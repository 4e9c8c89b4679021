"""Soft pruning: zeros that learn, the ramp, the report, going on after a stop."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Subset

import elastic
from elastic.data import Preprocessing, evaluate, images_loader, load
from elastic.errors import InvalidRecipe, TargetError
from elastic.masking import silenced
from elastic.proofs import same_bits
from elastic.recipes import Recipe
from elastic.soft_pruning import came_back, soft_prune
from tests.wirings import WIRINGS

NETWORK = "elastic/digits_resnet"
EXAMPLE = torch.zeros(1, 1, 8, 8)
RECIPE = Recipe(epochs=6, shift=1, mirror=False, batch=64, learning_rate=0.05)


@pytest.fixture(scope="module")
def done(trained, digits):
    return soft_prune(trained, EXAMPLE, digits, RECIPE, target=["macs=25%", "macs=50%"], teacher=trained)


def test_levels_keep_their_targets_and_are_better_than_chance_by_far(done):
    pruned, _ = done
    assert [pruned.cost(level).macs / pruned.cost(2).macs <= most for level, most in ((0, 0.25), (1, 0.5))]
    tested = load("digits", train=False, preprocessing=Preprocessing.default(NETWORK))
    assert all(evaluate(pruned.level(level), images_loader(tested, 250)).top1 > 80 for level in range(3))


def test_each_epoch_tells_what_is_at_zero_and_what_came_back(done):
    pruned, epochs = done
    zeroed = [epoch.told["zeroed"] for epoch in epochs]
    assert 0 < zeroed[0] < zeroed[1] < zeroed[2]
    assert epochs[0].told["came_back"] == 0
    assert came_back(epochs) == pruned.recipe["soft"]["came_back"] > 0


def test_the_model_itself_stays(trained, digits):
    before = {name: tensor.clone() for name, tensor in trained.state_dict().items()}
    soft_prune(trained, EXAMPLE, digits, RECIPE.model_copy(update={"epochs": 1}), target="macs=50%")
    assert all(same_bits(tensor, before[name]) for name, tensor in trained.state_dict().items())


def test_what_goes_on_ends_with_the_same_file(trained, digits, tmp_path):
    few = Subset(digits, range(256))
    how = {"target": "macs=50%", "ramp": 0.3}
    recipe = RECIPE.model_copy(update={"epochs": 4})
    whole, epochs = soft_prune(trained, EXAMPLE, few, recipe, **how)

    class Stopped(Exception):
        pass

    def stop(moment):
        if moment.done == 11:
            raise Stopped

    training = {"keep": tmp_path / "soft.training"}
    with pytest.raises(Stopped):
        soft_prune(trained, EXAMPLE, few, recipe, training={**training, "progress": stop}, **how)
    again, told = soft_prune(trained, EXAMPLE, few, recipe, training=training, **how)
    assert [epoch.told for epoch in told] == [epoch.told for epoch in epochs]
    assert np.array_equal(again.levels, whole.levels)
    for level in range(2):
        found, wanted = again.level(level).state_dict(), whole.level(level).state_dict()
        assert all(same_bits(tensor, wanted[name]) for name, tensor in found.items())


def test_without_a_ramp_all_leave_at_once(trained, digits):
    _, epochs = soft_prune(
        trained, EXAMPLE, Subset(digits, range(256)), RECIPE.model_copy(update={"epochs": 2}), target="macs=50%", ramp=0
    )
    assert epochs[0].told["zeroed"] > 10


@pytest.mark.parametrize("name", ["chain", "residual", "depthwise", "grouped", "transposed_grouped", "tied_weights"])
def test_gradients_reach_everything_that_is_silenced(name):
    wiring = WIRINGS[name]
    torch.manual_seed(0)
    model, example = wiring.make(), wiring.example()
    plan = elastic.trace(model, example)
    levels = (np.arange(plan.units) % 2).astype(np.uint8)
    state = silenced(model.state_dict(), plan, levels)
    changed = [name for name, tensor in model.state_dict().items() if not same_bits(tensor, state[name])]
    assert changed
    model.load_state_dict(state)
    for module in model.modules():
        if getattr(module, "bias", None) is not None:
            nn.init.constant_(module.bias, 0.5)  # so that no ReLU is shut
    inputs = torch.randn(8, *example.shape[1:]) if example.is_floating_point() else example
    model.train()(inputs).square().sum().backward()
    parameters = dict(model.named_parameters(remove_duplicate=False))
    for each in changed:
        zeros = parameters[each].detach() == 0
        assert zeros.any(), each
        assert (parameters[each].grad[zeros] != 0).any(), each


def test_a_silenced_unit_makes_a_constant():
    model, example = WIRINGS["chain"].make(), WIRINGS["chain"].example()
    plan = elastic.trace(model, example)
    levels = np.ones(plan.units, np.uint8)
    model.load_state_dict(silenced(model.state_dict(), plan, levels))
    assert torch.equal(model.a(example), model.a(torch.zeros_like(example)))
    assert model.a.bias.any()
    assert model.norm.weight.all()


@pytest.mark.parametrize(
    ("how", "error", "told"),
    [
        ({"ramp": 2.0}, InvalidRecipe, "ramp=2 is no share"),
        ({"recipe": RECIPE.model_copy(update={"patience": 1})}, InvalidRecipe, "patience ends a training early"),
        ({"target": "macs=0.001%"}, TargetError, "cannot be reached"),
    ],
)
def test_what_can_not_be_done_is_refused_before_training(trained, digits, how, error, told):
    asked = {"target": "macs=50%", "recipe": RECIPE.model_copy(update={"epochs": 10**6}), **how}
    with pytest.raises(error, match=told):
        soft_prune(trained, EXAMPLE, digits, **asked)
