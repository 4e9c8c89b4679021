"""Quantised networks: which layers, which names, copies, and the cut of them."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import elastic
from elastic.errors import DataError, InvalidBits, NotQuantised, UnknownName
from elastic.proofs import prove_cut, same_bits
from elastic.quantise import left_float, plan_of, quantised, quantised_layers, settled, unquantised
from elastic.quantise.activations import RANGES
from elastic.quantise.weights import WEIGHT_STEPS
from tests.wirings import WIRINGS


def made(name, **options):
    torch.manual_seed(0)
    model = WIRINGS[name].make().eval()
    batches = [torch.randn(8, *WIRINGS[name].example().shape[1:]) for _ in range(2)]
    return model, quantised(model, batches, **options), batches[0]


@pytest.mark.parametrize("ranges", RANGES)
@pytest.mark.parametrize("weights", WEIGHT_STEPS)
def test_names_of_weights_stay_and_only_those_of_quantisers_are_new(weights, ranges):
    model, network, _ = made("chain", weights=weights, ranges=ranges)
    state, own = network.state_dict(), model.state_dict()
    assert all(same_bits(state[name], tensor) for name, tensor in own.items())
    assert all("_quantiser." in name for name in state if name not in own)
    assert set(quantised_layers(network)) == {"a", "b", "head"}
    assert isinstance(network.a, nn.Conv2d)
    assert type(model.a) is nn.Conv2d


@pytest.mark.parametrize("ranges", RANGES)
@pytest.mark.parametrize("weights", WEIGHT_STEPS)
def test_copies_and_state_dicts_compute_the_same_bits(weights, ranges):
    model, network, images = made("chain", weights=weights, ranges=ranges, bits="W4A4")
    other = quantised(model, [torch.rand(4, 3, 6, 6)], "W4A4", weights=weights, ranges=ranges)
    other.load_state_dict(network.state_dict())
    with torch.no_grad():
        assert same_bits(other(images), network(images))
        assert same_bits(copy.deepcopy(network)(images), network(images))


def test_eight_bits_are_near_and_two_are_not():
    model, network, images = made("residual")
    _, coarse, _ = made("residual", bits="W2A2")
    with torch.no_grad():
        wanted = model(images)
        near, far = ((each(images) - wanted).abs().max() / wanted.abs().max() for each in (network, coarse))
    assert near < 0.05 < far


@pytest.mark.parametrize("ranges", RANGES)
def test_an_output_depends_on_no_other_image_and_eval_mode_changes_nothing(ranges):
    _, network, images = made("chain", ranges=ranges, bits="W4A4")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with torch.no_grad():
        alone = network.double()(images[:1].double())
        among = network(torch.cat([images[:1], 100 * images]).double())[:1]
    torch.testing.assert_close(alone, among, rtol=1e-12, atol=1e-12)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.float().state_dict().items())


@pytest.mark.parametrize("weights", WEIGHT_STEPS)
@pytest.mark.parametrize("name", ["chain", "residual", "concatenation", "depthwise", "grouped", "tied_weights"])
def test_a_cut_is_what_is_masked(name, weights):
    model, network, _ = made(name, weights=weights, bits="W4A8")
    plan = elastic.trace(model, WIRINGS[name].example())
    levels = (np.arange(plan.units) % 3 == 1).astype(np.uint8)
    assert prove_cut(network, plan_of(plan, network), levels, 0, WIRINGS[name].example()) < 1e-5


@pytest.mark.parametrize("ranges", RANGES)
@pytest.mark.parametrize("weights", WEIGHT_STEPS)
def test_a_settled_network_computes_the_same_bits(weights, ranges):
    _, network, images = made("depthwise", weights=weights, ranges=ranges, bits="W3A5")
    found = settled(network)
    with torch.no_grad():
        assert same_bits(found(images), network(images))
    assert not any("quantiser" in name for name, _ in found.named_parameters())


def test_what_is_taken_off_is_the_network_that_it_was():
    model, network, images = made("chain")
    found = unquantised(network)
    assert list(found.state_dict()) == list(model.state_dict())
    with torch.no_grad():
        assert same_bits(found(images), model(images))


def test_layers_of_other_kinds_stay_and_are_told():
    network = quantised(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ConvTranspose2d(4, 2, 3)), [torch.randn(2, 3, 6, 6)])
    assert left_float(network) == {"1": "ConvTranspose2d"}


def test_a_layer_that_is_not_run_stays_and_is_told():
    model = WIRINGS["chain"].make()
    model.spare = nn.Linear(2, 2)
    assert left_float(quantised(model, [torch.randn(2, 3, 6, 6)])) == {"spare": "Linear"}


@pytest.mark.parametrize(
    ("how", "error", "told"),
    [
        ({"bits": "W8A8,x=W4A4"}, UnknownName, "is called 'x'; there are: a, b, head"),
        ({"bits": "*=float"}, InvalidBits, "leaves every layer"),
        ({"ranges": "max"}, UnknownName, "unknown ranges 'max'; known: average, pact, learned"),
        ({"weights": "min"}, UnknownName, "unknown steps of weights 'min'; known: max, learned"),
    ],
)
def test_what_can_not_be_done_is_refused(how, error, told):
    with pytest.raises(error, match=told):
        made("chain", **how)


@pytest.mark.parametrize(("batches", "told"), [([], "no batches"), ([torch.full((2, 3, 6, 6), torch.nan)], "finite")])
def test_bad_batches_are_refused(batches, told):
    with pytest.raises(DataError, match=told):
        quantised(WIRINGS["chain"].make(), batches)


def test_a_float_network_is_refused_where_a_quantised_one_is_needed():
    with pytest.raises(NotQuantised, match="has no quantised layers"):
        settled(nn.Linear(2, 2))
