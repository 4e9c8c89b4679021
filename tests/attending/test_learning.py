"""Learning attention: the elastic net, its proximal step, what is closed and what may not be."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Subset

import elastic
from elastic.attending import Alternation, Attended, Attending, Attention, Goal
from elastic.attending.bounding import LEAST, divided, kept_open, within_goal
from elastic.attending.learning import weight_penalty
from elastic.attending.netting import elastic_net, smooth_part, soft_threshold
from elastic.attending.rounds import PLAIN
from elastic.gates.channels import Price
from elastic.recipes import Recipe
from elastic.training import Hook, train

EXAMPLE = torch.zeros(1, 1, 8, 8)
PLAIN_RECIPE = Recipe(shift=1, mirror=False, batch=64, learning_rate=0.02, distil=0.0).model_copy(update=PLAIN)
ANY = Goal(share=0.0, strength=0.05)


def attending_of(model, goal=ANY, start=None, floor=1, **settings):
    """Return a network with attention, and what learns it."""
    plan = elastic.trace(model, EXAMPLE)
    values = torch.linspace(0.1, 1, plan.units) if start is None else torch.full((plan.units,), start)
    attended = Attended(copy.deepcopy(model), plan, Attention(values))
    floors = [(group, floor) for group in plan.groups]
    return attended, Attending(attended, plan, Price(plan), Alternation(**settings), goal, floors=floors)


def step(attended, attending, gradient):
    """Change attention as one step of plain gradients does."""
    values = attended.attention.values
    values.grad = gradient.clone()
    attending.before_step()
    with torch.no_grad():
        values -= attending.alternation.rate * values.grad
    attending.after_step()


@pytest.mark.parametrize("sparse", [0.0, 0.3, 0.8, 1.0])
def test_the_gradient_of_the_elastic_net_is_its_formula(sparse):
    values = torch.tensor([0.2, 0.7, 1.3], dtype=torch.float64, requires_grad=True)
    elastic_net(values, sparse).backward()
    torch.testing.assert_close(values.grad, 2 * (1 - sparse) * values.detach() + sparse)


@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.5])
def test_the_proximal_step_minimises_what_it_is_of(threshold):
    values, grid = torch.linspace(-0.3, 1, 14, dtype=torch.float64), torch.linspace(0, 1.2, 120001).double()
    found = soft_threshold(values, threshold)
    assert torch.equal(found, (values - threshold).clamp_min(0))
    best = torch.stack([grid[((grid - v).square() / 2 + threshold * grid).argmin()] for v in values])
    torch.testing.assert_close(found, best, atol=2e-5, rtol=0)


def test_a_step_is_that_of_the_smooth_part_then_the_proximal_one(trained):
    attended, attending = attending_of(trained, divisor="none", start=0.8)
    attending.begin(PLAIN_RECIPE, 30)
    before, gradient = attended.attention.values.detach().clone(), torch.linspace(-1, 1, attending.plan.units)
    step(attended, attending, gradient)
    how, smooth = attending.alternation, before.clone().requires_grad_()
    (attending.strength * smooth_part(smooth, how.sparse)).backward()
    moved = before - how.rate * (before.square() * gradient + smooth.grad)
    torch.testing.assert_close(
        attended.attention.values.detach(), soft_threshold(moved, how.rate * attending.strength * how.sparse)
    )


def test_with_the_sharp_part_alone_attention_falls_by_what_it_travels_in_an_epoch(trained):
    attended, attending = attending_of(trained, divisor="none", start=0.8, sparse=1.0, travel=0.3)
    attending.begin(PLAIN_RECIPE, 40)
    for _ in range(40):
        step(attended, attending, torch.zeros(attending.plan.units))
    torch.testing.assert_close(
        attended.attention.values.detach(), torch.full((attending.plan.units,), 0.8 - 0.3 * 0.05 / 0.04)
    )


def test_what_is_pruned_stays_pruned(trained):
    attended, attending = attending_of(trained, divisor="none")
    attending.begin(PLAIN_RECIPE, 10)
    for _ in range(6):
        step(attended, attending, torch.zeros(attending.plan.units))
    closed = ~attended.attention.is_open
    for _ in range(3):
        step(attended, attending, torch.full((attending.plan.units,), -1e3))  # all would like to rise
    assert 0 < int(closed.sum()) < len(closed)
    assert (attended.attention.values[closed] == 0).all()
    assert (attended.attention.values[~closed] > 0).all()


@pytest.mark.parametrize("divisor", ["max", "percentile", "none"])
@pytest.mark.parametrize("floor", [1, 3])
def test_all_but_the_floor_of_each_group_can_close_and_nothing_is_nan(trained, divisor, floor):
    attended, attending = attending_of(trained, Goal(share=0.0, strength=5.0), floor=floor, divisor=divisor)
    attending.begin(PLAIN_RECIPE, 2)
    for _ in range(3):
        step(attended, attending, torch.zeros(attending.plan.units))
    values = attended.attention.values.detach()
    assert values.isfinite().all()
    assert {int((values[group.units] > 0).sum()) for group in attending.plan.groups} == {floor}
    assert attended.eval()(torch.rand(4, 1, 8, 8)).isfinite().all()


def test_no_more_closes_than_the_goal_of_the_round(trained):
    attended, attending = attending_of(trained, Goal(share=0.7, strength=5.0))
    attending.begin(PLAIN_RECIPE, 5)
    for _ in range(10):
        step(attended, attending, torch.zeros(attending.plan.units))
    cost = float(attending.price(attended.attention.is_open.double()))
    assert attending.is_full
    assert 0.7 <= cost < 0.72


def test_of_units_that_close_the_highest_stay_where_there_is_a_floor(trained):
    plan = elastic.trace(trained, EXAMPLE)
    before, group = torch.linspace(0.1, 1, plan.units), plan.groups[0]
    found = kept_open(before, torch.ones(plan.units, dtype=torch.bool), [(group, 2)])
    assert np.flatnonzero(found.numpy()).tolist() == sorted(group.units)[-2:]


def test_the_lowest_close_down_to_a_price():
    found = within_goal(
        torch.mean, torch.ones(4, dtype=torch.bool), torch.tensor([4.0, 1, 3, 2]), torch.ones(4) > 0, 0.5
    )
    assert found.tolist() == [False, True, False, True]


def test_groups_of_zeros_are_divided_by_nothing(trained):
    plan = elastic.trace(trained, EXAMPLE)
    values = torch.ones(plan.units) / 2
    values[plan.groups[0].units] = 0
    found = divided(values, plan, "max", 90)
    assert (found[plan.groups[0].units] == 0).all()
    assert (found[plan.groups[1].units] == 1).all()


def test_attention_stays_as_it_is_in_a_recovery(trained, digits):
    attended, _ = attending_of(trained)
    with torch.no_grad():
        attended.attention.values[::3] = 0
    before = attended.attention.values.detach().clone()
    weights = list(attended.network.parameters())
    recipe = PLAIN_RECIPE.model_copy(update={"momentum": 0.9, "average": 0.9})
    train(attended, Subset(digits, range(128)), recipe, hook=Hook(), parameters=weights)
    assert torch.equal(attended.attention.values, before)


@pytest.mark.parametrize("before_norm", [False, True])
def test_without_an_elastic_net_nothing_closes(trained, digits, before_norm):
    attended, attending = attending_of(trained, Goal(0.0, 0.0), before_norm=before_norm)
    train(attended, Subset(digits, range(512)), PLAIN_RECIPE, hook=attending, parameters=[attended.attention.values])
    assert attended.attention.is_open.all()


def test_without_a_task_and_an_elastic_net_nothing_moves(trained, digits):
    model = copy.deepcopy(trained)
    nn.init.zeros_([m for m in model.modules() if isinstance(m, nn.Linear)][-1].weight)  # no gradient comes back
    attended, attending = attending_of(model, Goal(0.0, 0.0), divisor="none")
    before = attended.attention.values.detach().clone()
    train(attended, Subset(digits, range(128)), PLAIN_RECIPE, hook=attending, parameters=[attended.attention.values])
    assert torch.equal(attended.attention.values, before)


def test_a_closed_attention_is_zero_at_the_end_of_a_training_too(trained, digits):
    attended, attending = attending_of(trained, Goal(0.6, 0.5))
    train(attended, Subset(digits, range(256)), PLAIN_RECIPE, hook=attending, parameters=[attended.attention.values])
    values = attended.attention.values.detach()
    assert 0 < int((values == 0).sum()) < len(values)
    assert (values[values != 0] >= LEAST * 0.99).all()


def test_the_penalty_of_weights_is_the_sum_of_their_squares():
    layer = nn.Linear(3, 2)
    assert weight_penalty(layer, 0.0) is None
    torch.testing.assert_close(weight_penalty(layer, 0.5), 0.5 * layer.weight.square().sum())
