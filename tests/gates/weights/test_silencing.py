"""Silencing: what zeros leave without a purpose goes, exactly, and nothing else."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import elastic
from elastic.gates.weights import dead_units, finish, magnitude_pruned
from elastic.masking import masked
from elastic.proofs import relative_error
from elastic.recipes import Recipe
from elastic.tracing.twin import random_twin
from tests.wirings import WIRINGS

NETWORKS = [
    "chain", "residual", "projected_residual", "concatenation", "dense_block", "depthwise", "grouped",
    "transposed_grouped", "concatenated_with_itself",
]  # fmt: skip


def opened(name):
    wiring = WIRINGS[name]
    model, example = random_twin(wiring.make()).eval(), wiring.example()
    return model, example, elastic.trace(model, example)


def idle(model, plan, share=0.4, seed=0):
    """Change the model: nothing reads some units of each group, nothing makes some others; return masks."""
    generator = np.random.default_rng(seed)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    reads, makes = elastic.roles.read_axes(plan), elastic.roles.made_axes(plan)
    for axes in (reads, makes):
        chosen = generator.random(plan.units) < share
        for name, axis in axes.items():
            labels = plan.axes_of_tensor[name][axis]
            along = torch.from_numpy((labels >= 0) & chosen[labels])
            state[name] = state[name].masked_fill(
                along.view([-1 if a == axis else 1 for a in range(state[name].dim())]), 0
            )
    model.load_state_dict(state)
    return {name: state[name] != 0 for name in {**reads, **makes}}


@pytest.mark.parametrize("precision", ["float32"])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_cut_network_is_the_masked_one_after_a_tuning(name, precision):
    model, example, plan = opened(name)
    masks = idle(model, plan)
    images = TensorDataset(torch.randn(12, *example.shape[1:]), torch.arange(12) % 5)
    recipe = Recipe(epochs=2, batch=4, shift=1, learning_rate=0.05, optimiser="adamw", weight_decay=0.1)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    done = finish(model, masks, plan, images, recipe)
    assert done.levels.sum() > 0
    assert sum(p.numel() for p in done.cut.parameters()) < sum(p.numel() for p in model.parameters())
    x = torch.randn(5, *example.shape[1:], dtype=torch.float64)
    with torch.no_grad():
        assert relative_error(done.cut.double()(x), done.network.double()(x)) < 1e-10
    silent = masked(done.network.state_dict(), plan, done.levels)
    assert all(torch.equal(silent[key], tensor) for key, tensor in done.network.state_dict().items())
    assert any(not torch.equal(before[key], tensor.float()) for key, tensor in done.network.state_dict().items())


@pytest.mark.parametrize("name", NETWORKS)
def test_in_each_group_a_unit_is_left_even_of_an_empty_network(name):
    model, _, plan = opened(name)
    empty = {key: torch.zeros_like(tensor) for key, tensor in model.state_dict().items()}
    levels = dead_units(model, plan, empty)
    assert all((levels[group.units] == 0).any() for group in plan.groups)
    assert levels.any()


@pytest.mark.parametrize("name", NETWORKS)
def test_without_zeros_nothing_is_dead(name):
    model, _, plan = opened(name)
    assert not dead_units(model, plan, model.state_dict()).any()


def mlp():
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))


def test_the_end_of_one_unit_is_the_end_of_those_that_it_alone_read_or_fed():
    model = mlp()
    plan = elastic.trace(model, torch.zeros(1, 4))
    with torch.no_grad():
        model[4].weight[:, 0] = 0  # nothing reads unit 0 of the second layer
        model[2].weight[1:, 2] = 0  # it alone reads unit 2 of the first
        model[0].weight[4] = 0  # nothing makes unit 4 of the first
        model[2].weight[3] = 0  # which alone feeds unit 3 of the second
        model[2].weight[3, 4] = 1.0
    levels = dead_units(model, plan, model.state_dict())
    assert levels[plan.axes["0.weight", 0]].tolist() == [0, 0, 1, 0, 1, 0]
    assert levels[plan.axes["2.weight", 0]].tolist() == [1, 0, 0, 1, 0]


def test_a_group_that_dies_bit_by_bit_keeps_a_unit_too():
    class Branched(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(4, 6), nn.Linear(6, 5)
            self.beside, self.head = nn.Linear(4, 5), nn.Linear(5, 3)

        def forward(self, x):
            return self.head(torch.relu(self.second(torch.relu(self.first(x))) + self.beside(x)))

    model = Branched()
    plan = elastic.trace(model, torch.zeros(1, 4))
    with torch.no_grad():
        model.second.weight[:, :5] = 0  # five of six units are dead at once
        model.second.weight[1:, 5] = 0  # and the last feeds a unit alone
        model.head.weight[:, 0] = 0  # that nothing reads
    levels = dead_units(model, plan, model.state_dict())
    assert levels[plan.axes["first.weight", 0]].tolist() == [1, 1, 1, 1, 1, 0]
    assert levels[plan.axes["second.weight", 0]].tolist() == [1, 0, 0, 0, 0]


def test_units_that_no_weight_reads_are_not_dead_for_that():
    class Attending(nn.Module):
        def __init__(self):
            super().__init__()
            self.query, self.key, self.value = nn.Linear(4, 6), nn.Linear(4, 6), nn.Linear(4, 3)

        def forward(self, x):
            return (self.query(x) @ self.key(x).transpose(1, 2)).softmax(2) @ self.value(x)

    model = Attending()
    plan = elastic.trace(model, torch.zeros(1, 5, 4))
    assert ("query.weight", 0) in plan.axes
    assert not dead_units(model, plan, model.state_dict()).any()
    with torch.no_grad():
        model.query.weight[1] = model.key.weight[1] = 0
    assert dead_units(model, plan, model.state_dict()).sum() == 1


def test_a_silenced_unit_stays_silent_where_zero_is_not_nothing():
    """A sigmoid makes one half of zero, from which columns that are zero would learn."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 6), nn.Sigmoid(), nn.Linear(6, 3))
    plan = elastic.trace(network, torch.zeros(1, 4, 1, 1))
    with torch.no_grad():
        network[1].weight[1:3] = 0
    masks = {"1.weight": network[1].weight != 0}
    images = TensorDataset(torch.randn(12, 4, 1, 1), torch.arange(12) % 3)
    done = finish(network, masks, plan, images, Recipe(epochs=2, batch=4, shift=0, mirror=False, learning_rate=0.1))
    assert done.levels.sum() == 2
    assert not done.network[3].weight[:, 1:3].any()
    x = torch.randn(7, 4, 1, 1)
    torch.testing.assert_close(done.cut(x), done.network(x))


def test_a_unit_that_is_read_once_is_not_dead():
    model = mlp()
    plan = elastic.trace(model, torch.zeros(1, 4))
    with torch.no_grad():
        model[2].weight[:, 1] = 0
        model[2].weight[3, 1] = 1e-30
    assert not dead_units(model, plan, model.state_dict()).any()


def test_units_of_a_norm_over_channels_stay():
    model = nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.ReLU(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    plan = elastic.trace(model, torch.zeros(1, 4))
    with torch.no_grad():
        model[3].weight[:, :4] = 0
        model[5].weight[:, 2] = 0
    levels = dead_units(model, plan, model.state_dict())
    assert not levels[plan.axes["0.weight", 0]].any()
    assert levels[plan.axes["3.weight", 0]].tolist() == [0, 0, 1, 0, 0]


def test_what_makes_a_unit_in_another_way_is_not_overlooked():
    class Embedded(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.inner, self.head = nn.Embedding(7, 4), nn.Linear(4, 4), nn.Linear(4, 3)

        def forward(self, tokens):
            x = self.table(tokens)
            return self.head(x + self.inner(x))

    model = Embedded()
    plan = elastic.trace(model, torch.zeros(1, dtype=torch.long))
    with torch.no_grad():
        model.inner.weight[2] = 0
    assert not dead_units(model, plan, model.state_dict()).any()


def test_a_control_is_finished_in_the_same_way():
    model, masks = magnitude_pruned(mlp(), sparsity=0.9)
    images = TensorDataset(torch.randn(12, 4), torch.arange(12) % 3)
    done = finish(model, masks, elastic.trace(model, torch.zeros(1, 4)), images, None)
    x = torch.randn(7, 4)
    torch.testing.assert_close(done.cut(x), done.network(x))
