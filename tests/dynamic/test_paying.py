"""Paying: layers whose gates cost more time than they save are opened, and are then plain convolutions."""

import copy

import pytest
import torch

from elastic.dynamic import reset, spent
from elastic.dynamic.channel import channel_gates, open_where_slower, skipping_network
from elastic.dynamic.channel.inference import skipping_layers
from elastic.errors import CannotSkip
from tests.dynamic.test_inference import GRAINS, IMAGES, at_once, digits, gap, skipping

assert at_once  # a fixture that measures little


@pytest.fixture
def slower(monkeypatch):
    """Let layers of this name be slower than one convolution, whatever the clock says."""

    def seconds(ways, **how):
        for way in ways.values():
            way()
        return dict(zip(ways, next(times), strict=True))

    times = iter([(2.0, 1.0), *[(1.0, 2.0)] * 99])  # the first layer alone
    monkeypatch.setattr("elastic.dynamic.channel.paying.median_seconds", seconds)


@pytest.mark.parametrize("norms", ["one", "two"])
@pytest.mark.parametrize("grain", GRAINS)
def test_what_is_opened_is_the_masked_network_with_these_gates_open(slower, grain, norms):
    network = digits(granularity=grain, norms=norms, sides="two")
    found = skipping(network, IMAGES[:3])
    (name,) = open_where_slower(found, IMAGES[:3])
    gate = channel_gates(network)[name].gate
    gate.threshold.data.fill_(-torch.inf)
    gate.threshold_above.data.fill_(torch.inf)
    reset(network)
    assert gap(found, network, IMAGES[:3]) < 1e-10
    assert spent(found) == spent(network)
    assert spent(found)[name].open_share == 1


def test_a_layer_that_is_open_for_good_makes_no_base_sums(slower, monkeypatch):
    found = skipping(digits(granularity="pixel"), IMAGES[:1])
    (name,) = open_where_slower(found, IMAGES[:1])
    monkeypatch.setattr(skipping_layers(found)[name], "base", None)
    found(IMAGES[:1])


def test_gates_that_are_open_in_a_file_need_no_measuring():
    network = digits(granularity="pixel")
    for layer in channel_gates(network).values():
        layer.gate.threshold.data.fill_(-torch.inf)
    found = skipping(network, IMAGES[:1])
    assert all(layer.is_open for layer in skipping_layers(found).values())
    assert gap(found, network, IMAGES[:1]) < 1e-10


def test_counters_and_the_gated_network_stay():
    network = digits(granularity="pixel")
    before = copy.deepcopy(network.state_dict())
    found = skipping_network(network, IMAGES[:1], runs=1)
    open_where_slower(found, IMAGES[:1], runs=1)
    assert all(not layer.gate.counter.positions for layer in skipping_layers(found).values())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_network_that_does_not_skip_is_refused():
    with pytest.raises(CannotSkip, match="does not skip; give what `skipping_network` made"):
        open_where_slower(digits(), IMAGES[:1])
