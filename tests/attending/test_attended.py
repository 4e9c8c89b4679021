"""Attention at its places: what is zero is cut, and before a norm the task feels nothing."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import elastic
from elastic.attending import Attended, Attention
from elastic.attending.stages import settle
from elastic.errors import PlanMismatch
from elastic.fitting import fitted
from elastic.proofs import relative_error
from tests.wirings import WIRINGS

NETWORKS = ["chain", "residual", "projected_residual", "dense_block", "depthwise", "grouped", "tied_weights"]


def opened(name, dtype=torch.float64):
    torch.manual_seed(0)
    wiring = WIRINGS[name]
    model, example = wiring.make().to(dtype).eval(), wiring.example()
    example = example.to(dtype) if example.is_floating_point() else example
    return model, example, elastic.trace(model, example)


def attended_of(model, plan, seed=0, **options):
    values = torch.rand(plan.units, generator=torch.Generator().manual_seed(seed)) * 0.9 + 0.1
    return Attended(copy.deepcopy(model), plan, Attention(values.to(next(model.parameters()).dtype)), **options)


def some(plan):
    """Return which units stay, at least one of each group."""
    stays = np.random.default_rng(0).random(plan.units) < 0.6
    for group in plan.groups:
        stays[group.units[0]] = True
    return stays


@pytest.mark.parametrize(("dtype", "error"), [(torch.float64, 1e-10), (torch.float32, 1e-5)], ids=["64", "32"])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_cut_network_makes_what_the_attended_one_makes(name, dtype, error):
    model, example, plan = opened(name, dtype)
    attended, stays = attended_of(model, plan).eval(), some(plan)
    settle(attended, stays)
    levels = (~stays).astype(np.uint8)
    cut = fitted(model, elastic.cut(attended.absorbed(), plan, levels, 0), plan.sizes(levels, 0)).eval()
    with torch.no_grad():
        assert relative_error(attended(example), cut(example)) < error


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_that_are_balanced_make_what_they_made_without_attention(name):
    model, example, plan = opened(name)
    attended = attended_of(model, plan).eval()
    attended.balance(torch.ones_like(attended.attention.values))
    with torch.no_grad():
        assert relative_error(attended(example), model(example)) < 1e-12


def test_what_is_closed_is_exactly_zero_where_it_is_read():
    model, _, plan = opened("residual")
    attended, stays = attended_of(model, plan), some(plan)
    settle(attended, stays)
    assert (attended.attention.values[~torch.from_numpy(stays)] == 0).all()
    weights = attended.placed.weights(attended.network, attended.attention())
    for name, axes in attended.placed.places.items():
        for axis, labels in axes.items():
            closed = torch.from_numpy((labels >= 0) & ~np.append(stays, True)[labels])
            assert (weights[name].movedim(axis, 0)[closed] == 0).all()


def test_weights_of_closed_units_do_not_matter():
    model, example, plan = opened("dense_block")
    attended, stays = attended_of(model, plan).eval(), some(plan)
    settle(attended, stays)
    wanted = attended(example)
    closed = torch.from_numpy(~stays).double()
    with torch.no_grad():
        for name, weight in attended.placed.weights(attended.network, 1 + 1e3 * closed).items():
            attended.network.get_parameter(name).copy_(weight)
    assert torch.equal(attended(example), wanted)


def test_a_network_that_was_evaluated_first_can_be_trained():
    model, example, plan = opened("residual")
    attended = attended_of(model, plan)
    with torch.inference_mode():
        attended(example)
    attended(example).square().sum().backward()
    assert (attended.attention.values.grad != 0).any()


def test_attention_that_begins_at_zero_is_refused():
    with pytest.raises(PlanMismatch, match="begins above 0, but 2 of 3 is not"):
        Attention(torch.tensor([0.0, 0.5, -1.0]))


class Normed(nn.Module):
    """Two convolutions, each with its norm."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
        self.second, self.last = nn.Conv2d(16, 8, 3, padding=1, bias=False), nn.Linear(8, 4)

    def forward(self, x):
        x = F.relu(self.norm(self.first(x)))
        return self.last(self.second(x).relu().mean((2, 3)))


def felt(before_norm):
    """Return the gradient of a task on attention to the normed channels, as a share of the loss, [units]."""
    torch.manual_seed(0)
    model, images = Normed().double(), torch.randn(32, 3, 8, 8).double()
    labels = torch.randint(0, 4, (32,))
    nn.init.normal_(model.last.weight)
    plan = elastic.trace(model, images[:1])
    attended = attended_of(model, plan, before_norm=before_norm).train()
    loss = F.cross_entropy(attended(images), labels)
    loss.backward()
    units = torch.from_numpy(np.unique(plan.axes["first.weight", 0]))
    return (attended.attention.values.grad[units] * attended.attention.values.detach()[units]).abs() / loss.detach()


def test_before_a_norm_the_gradient_of_the_task_on_attention_vanishes():
    assert float(felt(before_norm=True).norm()) < 1e-2 * float(felt(before_norm=False).norm())


def test_behind_a_norm_attention_feels_the_task():
    assert float(felt(before_norm=False).median()) > 1e-4


def test_before_a_norm_a_scale_of_filters_changes_nothing_in_training():
    torch.manual_seed(0)
    model, images = Normed().double(), torch.randn(32, 3, 8, 8).double()
    plan = elastic.trace(model, images[:1], freeze=["second"])
    before, behind = (attended_of(model, plan, before_norm=each).train() for each in (True, False))
    with torch.no_grad():
        whole = model.train()(images)
        assert relative_error(before(images), whole) < 1e-3
        assert relative_error(behind(images), whole) > 1e-2
