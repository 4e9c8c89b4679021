"""Gates that each image decides: what they stand for, their price, targets, going on after a stop."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Subset

import elastic
from elastic.data import Preprocessing, images_loader, load
from elastic.errors import InvalidRecipe, PlanMismatch, TargetError
from elastic.gates.adaptive import AdaptiveGated, gate_adaptively, measure
from elastic.gates.channels import Price
from elastic.masking import masked
from elastic.proofs import same_bits
from elastic.recipes import Recipe
from tests.wirings import WIRINGS

NETWORK = "elastic/digits_resnet"
EXAMPLE = torch.zeros(1, 1, 8, 8)
RECIPE = Recipe(epochs=4, shift=1, mirror=False, batch=64, learning_rate=0.05)


def opened(name):
    torch.manual_seed(0)
    wiring = WIRINGS[name]
    model, example = wiring.make().double().eval(), wiring.example().double()
    plan = elastic.trace(model, example)
    return model, torch.randn(4, *example.shape[1:]).double(), plan, AdaptiveGated(model, plan).double().eval()


def decide(gated, plan, stays):
    """Make all images decide the same."""
    with torch.no_grad():
        for number, decider in gated.deciders.items():
            units = np.asarray(plan.groups[int(number)].units)
            decider.last.weight.zero_()
            decider.last.bias.copy_(torch.from_numpy(np.where(stays[units], 2.0, -2.0)))


@pytest.mark.parametrize("name", ["chain", "residual", "dense_block", "depthwise", "grouped"])
def test_open_gates_change_nothing(name):
    model, images, plan, gated = opened(name)
    decide(gated, plan, np.ones(plan.units, np.bool_))
    made = gated(images)
    assert torch.equal(gated.hard, torch.ones(4, plan.units))
    fresh = WIRINGS[name].make().double().eval()
    fresh.load_state_dict(model.state_dict())
    torch.testing.assert_close(made, fresh(images))


@pytest.mark.parametrize("name", ["chain", "residual", "dense_block", "grouped"])
def test_closed_gates_take_out_what_a_mask_does(name):
    model, images, plan, gated = opened(name)
    decided = np.concatenate([np.asarray(plan.groups[int(number)].units) for number in gated.deciders])
    stays = np.ones(plan.units, np.bool_)
    stays[decided] = np.random.default_rng(0).random(len(decided)) < 0.6
    for group in plan.groups:
        stays[group.units[0]] = True
    decide(gated, plan, stays)
    fresh = WIRINGS[name].make().double().eval()
    fresh.load_state_dict(masked(model.state_dict(), plan, (~stays).astype(np.uint8)))
    torch.testing.assert_close(gated(images), fresh(images))


def test_an_image_does_not_depend_on_its_batch_mates():
    _, images, _, gated = opened("residual")
    for decider in gated.deciders.values():
        nn.init.normal_(decider.last.weight, std=3.0)
    together = gated(images)
    hard = gated.hard
    assert not torch.equal(hard[0], hard[1])
    torch.testing.assert_close(torch.cat([gated(image[None]) for image in images]), together)


def test_the_price_of_each_image_is_the_cost_of_its_network():
    _, images, plan, gated = opened("dense_block")
    for decider in gated.deciders.values():
        nn.init.normal_(decider.last.weight, std=3.0)
    gated(images)
    costs = elastic.CostModel(plan)
    wanted = [costs.cost(each.numpy() > 0).macs / costs.dense.macs for each in gated.hard]
    assert Price(plan)(gated.hard).tolist() == pytest.approx(wanted)


def test_the_mean_cost_comes_to_the_target(trained, digits):
    gated, price, epochs = gate_adaptively(trained, EXAMPLE, digits, RECIPE, target="macs=60%")
    tested = load("digits", train=False, preprocessing=Preprocessing.default(NETWORK))
    found = measure(gated, price, images_loader(tested, 250))
    assert found.images == 360
    assert found.share == pytest.approx(0.6, abs=0.06)
    assert found.top1 > 90
    assert {"macs_hard", "macs_soft", "strength"} == epochs[-1].told.keys()


def test_what_goes_on_ends_with_the_same_bits(trained, digits, tmp_path):
    few, recipe = Subset(digits, range(256)), RECIPE.model_copy(update={"epochs": 2})
    whole, _, _ = gate_adaptively(trained, EXAMPLE, few, recipe, target="macs=60%")

    class Stopped(Exception):
        pass

    def stop(moment):
        if moment.done == 6:
            raise Stopped

    training = {"keep": tmp_path / "a.training"}
    with pytest.raises(Stopped):
        gate_adaptively(trained, EXAMPLE, few, recipe, target="macs=60%", training={**training, "progress": stop})
    again, _, _ = gate_adaptively(trained, EXAMPLE, few, recipe, target="macs=60%", training=training)
    assert all(same_bits(tensor, again.state_dict()[name]) for name, tensor in whole.state_dict().items())


def test_what_can_not_be_done_is_refused_before_training(trained, digits):
    with pytest.raises(TargetError, match="cannot be reached"):
        gate_adaptively(trained, EXAMPLE, digits, RECIPE, target="macs=0.001%")
    with pytest.raises(InvalidRecipe, match="patience ends a training early"):
        gate_adaptively(trained, EXAMPLE, digits, RECIPE.model_copy(update={"patience": 1}), target="macs=60%")


def test_a_network_without_layers_to_gate_is_refused():
    class Products(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Parameter(torch.randn(8, 4)), nn.Parameter(torch.randn(2, 8))

        def forward(self, x):
            return (x @ self.a.t()).relu() @ self.b.t()

    model = Products()
    with pytest.raises(PlanMismatch, match="no linear layer or convolution"):
        AdaptiveGated(model, elastic.trace(model, torch.randn(1, 4)))
