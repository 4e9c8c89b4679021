"""Inference: what skips makes what is masked, counts alike, and says what it saves and where it can't."""

import json

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from elastic import models
from elastic.dynamic import curve, heat_maps, reset, spent
from elastic.dynamic.channel import (
    channel_gated,
    channel_gates,
    choices_in,
    left_masked,
    measure,
    savings,
    savings_table,
    skipping_network,
)
from elastic.dynamic.channel.inference import skipping_layers
from elastic.dynamic.skipping import Choice, as_data, choices_of
from elastic.dynamic.skipping.choosing import Curve
from elastic.dynamic_gating import channel_gating_of
from elastic.errors import CannotSkip, UnknownName
from elastic.proofs import relative_error
from tests.dynamic.conftest import EXAMPLE, SEEN, small

GRAINS = ["pixel-channel", "pixel-block", "pixel", "channel"]
IMAGES = torch.rand(20, 1, 8, 8, generator=torch.Generator().manual_seed(4)).double()


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Measure with few runs of few masks: which way is the fastest is not what is tested here."""
    monkeypatch.setattr("elastic.dynamic.skipping.choosing.SHARES", (0.0, 1.0))


def digits(dtype=torch.float64, **options):
    """Return the digits network with gates of random thresholds."""
    torch.manual_seed(5)
    model = models.build("elastic/digits_resnet").to(dtype).eval()
    gating = channel_gating_of("paper", **{"layers": ("layer*.conv?",), "block": 3, **options})
    found = channel_gated(model, IMAGES[:1].to(dtype), gating, [IMAGES.to(dtype)])
    for layer in channel_gates(found).values():
        nn.init.normal_(layer.gate.threshold, std=0.3)
    return found


def skipping(network, example, way=None):
    """Return one that skips; by this way in all layers, if one is given."""
    found = skipping_network(network, example, runs=1)
    if way is not None:
        only = Choice(1.0, {way: Curve((0, 10**9), (0.0, 0.0))})
        for layer in skipping_layers(found).values():
            layer.ask(lambda *given: only)
    return found


@torch.no_grad()
def gap(found, network, images):
    """Return how far the outputs of both are apart."""
    return relative_error(found(images), network(images))


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("norms", ["one", "two"])
@pytest.mark.parametrize("base", ["first", "strongest", "groups"])
@pytest.mark.parametrize("grain", GRAINS)
def test_skipping_is_the_masked_network(grain, base, norms, count):
    network, images = digits(granularity=grain, base=base, norms=norms), IMAGES[:count]
    found = skipping(network, images, "channels" if grain == "channel" else "rows")
    reset(network)
    assert gap(found, network, images) < 1e-10
    assert spent(found) == spent(network)
    assert not left_masked(found)


OPTIONS = {
    "two sides": {"sides": "two", "begin_above": 0.8},
    "coarse": {"coarse": 0.5},
    "shuffled groups": {"base": "groups", "shuffle": True},
    "whole blocks": {"block": 4},
    "one block": {"block": 16},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("grain", GRAINS)
def test_options_of_gates_skip_alike(grain, options):
    network = digits(granularity=grain, **options)
    found = skipping(network, IMAGES[:3], "channels" if grain == "channel" else "tiles of 4")
    reset(network)
    assert gap(found, network, IMAGES[:3]) < 1e-10
    assert spent(found) == spent(network)


@pytest.mark.parametrize("grain", GRAINS)
def test_single_precision_is_as_near_as_it_can_be(grain):
    network, images = digits(torch.float32, granularity=grain, layers=("layer1.0.conv1",)), IMAGES[:3].float()
    found = skipping(network, images)
    assert gap(found, network, images) < 1e-5


@pytest.mark.parametrize("threshold", [-torch.inf, torch.inf])
@pytest.mark.parametrize("grain", GRAINS)
def test_infinite_thresholds_open_all_or_nothing(grain, threshold):
    network = digits(granularity=grain)
    for layer in channel_gates(network).values():
        layer.gate.threshold.data.fill_(threshold)
    found = skipping(network, IMAGES[:1])
    assert gap(found, network, IMAGES[:1]) < 1e-10
    assert all(each.open_share == (threshold < 0) for each in spent(found).values())


def test_maps_and_curves_are_those_of_the_masked_network():
    network = digits(granularity="pixel-block")
    found = skipping(network, IMAGES[:3])
    assert torch.allclose(heat_maps(found, IMAGES[:3]), heat_maps(network, IMAGES[:3]))
    loader = DataLoader(TensorDataset(IMAGES[:3], torch.zeros(3).long()), batch_size=3)
    assert curve(found, loader, (-0.3, 0.3)) == curve(network, loader, (-0.3, 0.3))


def test_other_shapes_are_right_and_not_measured_until_asked():
    network = digits(granularity="pixel")
    found = skipping(network, IMAGES[:1])
    assert gap(found, network, IMAGES[:4]) < 1e-10
    known = choices_in(found)
    assert not any("of [4," in name for name in known)
    measure(found, IMAGES[:4], runs=1)
    assert sum("of [4," in name for name in choices_in(found)) == len(known)


def test_choices_that_are_known_are_not_measured_again(monkeypatch):
    network = digits(granularity="pixel")
    known = choices_of(json.loads(json.dumps(as_data(choices_in(skipping(network, IMAGES[:1]))))))
    monkeypatch.setattr("elastic.dynamic.skipping.choosing.choose", None)
    assert choices_in(skipping_network(network, IMAGES[:1], choices=known)) == known


def test_making_it_leaves_the_network_and_counts_nothing():
    network = digits()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    found = skipping(network, IMAGES[:1])
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(not layer.gate.counter.positions for layer in skipping_layers(found).values())
    assert channel_gates(network)


def with_reflection():
    """Return a small network with gates, of which `middle` is padded by reflection."""
    gating = channel_gating_of("paper", layers=("stem", "middle"))
    return channel_gated(small(), EXAMPLE.double(), gating, [SEEN])


def test_what_can_not_skip_is_left_masked(images):
    network = with_reflection()
    found = skipping(network, images)
    assert list(left_masked(found)) == ["middle"]
    assert "padded by (1, 1) of reflect" in left_masked(found)["middle"]
    assert gap(found, network, images) < 1e-10


def test_only_layers_that_match_skip(images):
    found = skipping_network(digits(), IMAGES[:1], layers=("layer1.*",), runs=1)
    assert {name.split(".")[0] for name in skipping_layers(found)} == {"layer1"}
    assert set(left_masked(found).values()) == {"it was not asked for"}


@pytest.mark.parametrize(
    ("layers", "error", "match"),
    [
        (("middle",), CannotSkip, "middle can't skip: .* padded by .* leave it out of the layers"),
        (("midle",), UnknownName, "no layer with gates is called 'midle'; there are: stem, middle"),
    ],
)
def test_layers_that_are_asked_for_and_can_not_skip_are_refused(layers, error, match):
    with pytest.raises(error, match=match):
        skipping_network(with_reflection(), EXAMPLE.double(), layers=layers)


def test_a_norm_that_runs_twice_keeps_its_layer_masked(images):
    network = with_reflection()
    network.act = nn.Sequential(nn.ReLU(), network.norm)
    with pytest.raises(CannotSkip, match=r"stem can't skip: its norm norm runs 2 times"):
        skipping_network(network, images, layers=("stem",))


def test_a_network_that_skips_is_not_trained():
    found = skipping(digits(), IMAGES[:1])
    with pytest.raises(CannotSkip, match="can't be trained"):
        found.train()(IMAGES[:1])


def test_savings_stand_beside_what_they_would_be():
    network = digits(granularity="pixel")
    found = skipping(network, IMAGES[:2])
    saved = savings(network, found, IMAGES[:2], runs=1, elsewhere=1000)
    found(IMAGES[:2])
    cost = spent(found)
    assert [each.name for each in saved] == [*cost, "in all"]
    assert [each.computed for each in saved[:-1]] == [each.share for each in cost.values()]
    assert all(min(each.dense, each.masked, each.skipping) > 0 for each in saved)
    savings_table(saved).check()


def test_savings_of_a_network_that_only_masks_are_refused():
    with pytest.raises(CannotSkip, match="does not skip"):
        savings(digits(), digits(), IMAGES[:1])
