"""Levels that are trained at once: weights shared, norms their own, the largest teaches."""

import copy

import pytest
import torch

from elastic.checkpoint import load, load_state
from elastic.cutting import cut
from elastic.data import evaluate, images_loader
from elastic.metadata import read_header
from elastic.nesting import nest
from elastic.nesting.family import family_of, shared_names
from elastic.nesting.joint import Joint
from elastic.planned import load_plan
from elastic.proofs import same_bits


@pytest.fixture
def joint(pruned_file):
    family = family_of(pruned_file)
    planned, state = family.planned, family.whole.state_dict()
    smaller = [family.working(level, cut(state, planned.plan, planned.levels, level)) for level in (0, 1)]
    shared = shared_names(planned.plan, with_head=True)
    return Joint(family.working(2), smaller, planned.plan, planned.levels, shared=shared, between=1)


def test_levels_share_weights_and_have_norms_of_their_own(pruned_file, few, recipe, tmp_path):
    output = tmp_path / "joint.safetensors"
    nest(pruned_file, output, few, recipe(), way="joint")
    planned, whole = load_plan(output), load_state(output)
    for level in (0, 1):
        smaller, stored = cut(whole, planned.plan, planned.levels, level), load_state(output, level)
        assert all(same_bits(stored[name], smaller[name]) for name in shared_names(planned.plan, with_head=True))
        assert not torch.equal(stored["fc.bias"], smaller["fc.bias"])
    assert read_header(output).contract == "joint"


def test_norms_are_shared_and_what_they_measured_is_estimated_anew(pruned_file, few, recipe, tmp_path):
    output = tmp_path / "joint.safetensors"
    nest(pruned_file, output, few, recipe(), way="joint", norms="re-estimated")
    planned, whole = load_plan(output), load_state(output)
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    for level in (0, 1):
        smaller, stored = cut(whole, planned.plan, planned.levels, level), load_state(output, level)
        for name, tensor in stored.items():
            if name.endswith(statistics[:2]):
                assert not torch.equal(tensor, smaller[name])
            elif not name.endswith(statistics):
                assert same_bits(tensor, smaller[name])
        network = load(output, level)
        first = network.conv1(torch.stack([image for image, _ in few]))
        torch.testing.assert_close(network.bn1.running_mean, first.mean((0, 2, 3)), rtol=1e-3, atol=1e-5)
    assert read_header(output).recipe["nested"]["norms"] == "re-estimated"


@pytest.mark.parametrize("norms", ["private", "re-estimated"])
def test_all_levels_learn(pruned_file, digits, recipe, tmp_path, norms):
    output = tmp_path / "joint.safetensors"
    nest(pruned_file, output, digits, recipe(epochs=3, batch=64, learning_rate=0.05), way="joint", norms=norms)
    for level in range(3):
        assert evaluate(load(output, level), images_loader(digits, 500)).top1 > 60


def test_a_smaller_level_computes_what_its_own_network_would(joint, pruned_file):
    images = torch.randn(3, 1, 8, 8)
    joint.eval()
    for level in (0, 1):
        alone = load(pruned_file, level)
        alone.load_state_dict(joint.state(level))
        assert torch.equal(joint.run(level, images), alone(images))


def test_gradients_of_shared_weights_are_the_sum_of_the_levels(joint):
    images = torch.randn(4, 1, 8, 8)
    joint.train()
    weight = joint.whole.get_parameter("fc.weight")
    torch.manual_seed(0)
    wholes = copy.deepcopy(joint)
    sum(made.sum() for made in joint(images)).backward()
    found = weight.grad.clone()
    wanted = torch.zeros_like(found)
    for run in (wholes.whole, lambda x: wholes.run(1, x), lambda x: wholes.run(0, x)):
        wholes.zero_grad()
        run(images).sum().backward()
        wanted += wholes.whole.get_parameter("fc.weight").grad
    torch.testing.assert_close(found, wanted)


def test_each_step_has_the_largest_the_smallest_and_some_between(joint):
    joint.smaller = torch.nn.ModuleList([joint.smaller[0]] * 5)
    joint.between = 2
    drawn = [joint.drawn() for _ in range(50)]
    assert {len(each) for each in drawn} == {3}
    assert {each[-1] for each in drawn} == {0}
    assert {level for each in drawn for level in each} == {0, 1, 2, 3, 4}
