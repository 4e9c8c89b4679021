"""Finalising: exact zeros, as many as were asked for."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from elastic.errors import TargetError
from elastic.gates.weights import finalise, magnitude_pruned, put_gates
from elastic.gates.weights.finalising import without_smallest
from tests.wirings import WIRINGS


def gated_chain(seed=0):
    torch.manual_seed(seed)
    model = WIRINGS["chain"].make().eval()
    gated = put_gates(model)
    with torch.no_grad():
        for _, gates in gated.values():
            gates.logits.normal_(-2, 3)
    return model, gated


@given(
    scores=st.lists(st.lists(st.integers(-3, 3), min_size=1, max_size=20), min_size=1, max_size=4),
    share=st.floats(0, 0.999),
)
def test_the_least_number_of_smallest_scores_that_is_the_share_goes(scores, share):
    named = {str(number): torch.tensor(each) for number, each in enumerate(scores)}
    masks = without_smallest(named, share)
    flat, stays = torch.cat(list(named.values())), torch.cat(list(masks.values()))
    assert int((~stays).sum()) == math.ceil(share * len(flat) - 1e-9)
    if 0 < stays.sum() < len(stays):
        assert flat[~stays].max() <= flat[stays].min()
        ties = flat == flat[~stays].max()
        assert stays[ties].int().diff().ge(0).all()  # of equals the first go


@pytest.mark.parametrize("target", [0.0, 0.3, 0.9])
def test_a_target_is_hit_to_the_weight(target):
    model, gated = gated_chain()
    count = sum(gates.logits.numel() for _, gates in gated.values())
    masks = finalise(gated, target=target)
    zeros = sum(int((model.get_parameter(name) == 0).sum()) for name in masks)
    assert zeros == sum(int((~mask).sum()) for mask in masks.values()) == math.ceil(target * count)


def test_without_a_target_what_is_below_the_threshold_is_zero():
    model, gated = gated_chain()
    opened = {name: gates.soft() for name, (_, gates) in gated.items()}
    masks = finalise(gated, threshold=0.2)
    for name, mask in masks.items():
        assert torch.equal(mask, opened[name] >= 0.2)
        assert torch.equal(model.get_parameter(name) != 0, mask)


def test_what_stays_is_what_the_gated_network_had():
    model, gated = gated_chain()
    before = {name: layer.weight.detach().clone() for name, (layer, _) in gated.items()}
    masks = finalise(gated, target=0.5)
    for name, mask in masks.items():
        assert torch.equal(model.get_parameter(name)[mask], before[name][mask])


def test_the_smallest_magnitudes_of_all_layers_together_go():
    model = WIRINGS["chain"].make()
    network, masks = magnitude_pruned(model, ["a", "head"], sparsity=0.75)
    weights = torch.cat([model.get_parameter(name).detach().flatten() for name in masks])
    zeros = torch.cat([network.get_parameter(name).flatten() == 0 for name in masks])
    assert int(zeros.sum()) == math.ceil(0.75 * len(weights))
    assert weights[zeros].abs().max() <= weights[~zeros].abs().min()
    assert torch.equal(network.b.weight, model.b.weight)
    assert (model.a.weight != 0).all()


@pytest.mark.parametrize("share", [-0.1, 1.0, 90.0])
def test_what_is_no_share_is_refused(share):
    with pytest.raises(TargetError, match=f"{share:g} is no share of the weights"):
        magnitude_pruned(WIRINGS["chain"].make(), sparsity=share)
