import pytest
import torch
from torch import nn

from elastic.recipes import Recipe
from elastic.training.optimising import load_optimiser, optimiser_of, optimiser_tensors, schedule_of


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def rates(recipe, steps, done=0):
    optimiser = optimiser_of(recipe, net().parameters())
    schedule = schedule_of(recipe, optimiser, steps, done)
    found = []
    for _ in range(steps - done):
        found.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    return found


def step(model, optimiser, seed):
    model(torch.randn(8, 3, generator=torch.Generator().manual_seed(seed))).square().mean().backward()
    optimiser.step()
    optimiser.zero_grad()


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
@pytest.mark.parametrize("schedule", ["one-cycle", "cosine", "step", "constant"])
def test_a_learning_rate_rises_to_the_greatest_and_never_beyond(schedule, optimiser):
    found = rates(Recipe(schedule=schedule, optimiser=optimiser, learning_rate=0.2, warm_up=0.25), 40)
    assert max(found) == pytest.approx(0.2, rel=0.01)
    assert found.index(max(found)) == 10
    assert found[:11] == sorted(found[:11])
    assert found[10:] == sorted(found[10:], reverse=True)


@pytest.mark.parametrize(
    ("schedule", "last"), [("one-cycle", 0.001), ("cosine", 0.01), ("step", 0.002), ("constant", 0.2)]
)
def test_it_ends_low_where_it_falls(schedule, last):
    assert rates(Recipe(schedule=schedule, learning_rate=0.2, warm_up=0.0), 40)[-1] <= last * 1.001


def test_drops_divide_by_ten():
    found = rates(Recipe(schedule="step", learning_rate=1.0, warm_up=0.0, drops=(0.5, 0.75)), 8)
    assert found == pytest.approx([1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01])


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine", "step", "constant"])
@pytest.mark.parametrize("done", [1, 13, 39])
def test_a_schedule_goes_on_to_the_digit(schedule, done):
    recipe = Recipe(schedule=schedule)
    assert rates(recipe, 40, done) == rates(recipe, 40)[done:]


def test_norms_and_biases_do_not_decay():
    groups = optimiser_of(Recipe(weight_decay=0.1), net().parameters()).param_groups
    assert [(group["weight_decay"], {p.dim() for p in group["params"]}) for group in groups] == [(0.1, {2}), (0, {1})]


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_what_an_optimiser_remembers_can_be_given_to_another(name):
    recipe, models, found = Recipe(optimiser=name), [net(), net()], []
    optimisers = [optimiser_of(recipe, model.parameters()) for model in models]
    step(models[0], optimisers[0], seed=0)
    models[1].load_state_dict(models[0].state_dict())
    load_optimiser(optimisers[1], {key: value.clone() for key, value in optimiser_tensors(optimisers[0]).items()})
    for model, optimiser in zip(models, optimisers, strict=True):
        step(model, optimiser, seed=1)
        found.append(model.state_dict())
    assert all(torch.equal(found[0][key], found[1][key]) for key in found[0])
