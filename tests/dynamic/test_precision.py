"""Precision gates: limits, mixed masks by brute force, high bits, counters, gradients."""

import pytest
import torch
from torch import nn

from elastic.dynamic import reset, spent
from elastic.dynamic.counting import counters
from elastic.dynamic.precision import average_bits, precision_gated, precision_gates, static_twin
from elastic.dynamic_gating import precision_gating_of
from elastic.errors import InvalidBits, NothingToGate
from elastic.quantise import quantised, quantised_layers
from tests.dynamic.conftest import EXAMPLE, SEEN, small

LAYERS = ("stem", "middle")
GRAINS = ["pixel-channel", "pixel-block", "pixel", "channel"]


def gated(threshold=None, **options):
    """Return a small network and one with gates; thresholds all alike if given."""
    model = small()
    gating = precision_gating_of("calibrated", **{"layers": LAYERS, "block": 3, **options})
    found = precision_gated(model, EXAMPLE.double(), [SEEN], gating)
    for layer in precision_gates(found).values():
        if threshold is not None:
            layer.gate.threshold.data.fill_(threshold)
    return model, found


@pytest.mark.parametrize("grain", GRAINS)
def test_open_gates_are_the_network_of_all_bits(images, grain):
    _, found = gated(-torch.inf, granularity=grain)
    assert torch.equal(found(images), static_twin(found)(images))


def test_the_static_twin_is_what_quantising_makes(images):
    model, found = gated(bits=4, weight_bits=6, ranges="average")
    other = quantised(model, [SEEN], ["*=W6A4", "last=float"], ranges="average")
    assert set(quantised_layers(static_twin(found))) == set(LAYERS)
    torch.testing.assert_close(static_twin(found)(images), other(images))


@pytest.mark.parametrize("grain", GRAINS)
def test_closed_gates_are_the_network_of_high_bits(images, grain):
    _, found = gated(torch.inf, granularity=grain)
    layer = found.stem
    step, weight = layer.input_quantiser.step(), layer.weight_quantiser(layer.weight)
    levels = layer.input_quantiser.levels(images).double()
    high = levels.sign() * (levels.abs() // 2) * 2
    wanted = nn.functional.conv2d(high * step, weight, layer.bias, padding=1)
    torch.testing.assert_close(layer(images), wanted)
    reset(found)
    found(images)
    assert average_bits(found, spent(found)) == 2


@pytest.mark.parametrize("ranges", ["average", "pact", "learned"])
@pytest.mark.parametrize(("bits", "high"), [(3, 2), (4, 2), (2, 1), (8, 5)])
def test_high_bits_are_those_of_the_levels(bits, high, ranges):
    _, found = gated(layers=("middle",), bits=bits, prediction_bits=high, ranges=ranges)
    layer = found.middle
    assert layer.input_quantiser.lowest == 0
    values = layer.input_quantiser(torch.linspace(-1, 9, 500).double())
    levels = (values / layer.input_quantiser.step()).round().long()
    wanted = levels >> (bits - high) << (bits - high)
    torch.testing.assert_close(layer.high_bits(values), wanted * layer.input_quantiser.step().double())
    assert len(wanted.unique()) == 2**high


def test_gradients_go_straight_through_high_bits():
    _, found = gated(layers=("middle",))
    values = torch.rand(20).double().requires_grad_()
    upstream = torch.randn(20).double()
    (found.middle.high_bits(values) * upstream).sum().backward()
    assert torch.equal(values.grad, upstream)


@pytest.mark.parametrize("grain", GRAINS)
def test_mixed_gates_do_what_loops_do(images, grain):
    _, found = gated(granularity=grain)
    reset(found)
    layer, inputs = found.middle, torch.relu(images)
    values = layer.input_quantiser(inputs)
    weight = layer.weight_quantiser(layer.weight)
    full, high = (layer._conv_forward(each, weight, layer.bias) for each in (values, layer.high_bits(values)))
    wanted, scores, count = high.detach().clone(), high - layer.gate.threshold[:, None, None], 0
    for n in range(5):
        for c in range(12):
            for p in range(9):
                y, x, first = p // 3, p % 3, c // 3 * 3
                mates = {"pixel-channel": scores[n, c, y, x], "pixel-block": scores[n, first : first + 3, y, x]}
                mates |= {"pixel": scores[n, :, y, x], "channel": scores[n, c]}
                if mates[grain].mean() > 0:
                    wanted[n, c, y, x] = full[n, c, y, x]
                    count += 1
    torch.testing.assert_close(layer(inputs), wanted)
    assert counters(found)["middle"].opened == count
    assert 0 < count < wanted.numel()


@pytest.mark.parametrize("is_sparse", [False, True])
def test_thresholds_learn_by_the_formula(images, is_sparse):
    _, found = gated(layers=("middle",), sparse_back_propagation=is_sparse)
    layer, inputs = found.middle, torch.relu(images)
    upstream = torch.randn_like(layer(inputs))
    (layer(inputs) * upstream).sum().backward()
    with torch.no_grad():
        values, weight = layer.input_quantiser(inputs), layer.weight_quantiser(layer.weight)
        full, high = (layer._conv_forward(each, weight, layer.bias) for each in (values, layer.high_bits(values)))
        scores = high - layer.gate.threshold[:, None, None]
        soft = torch.sigmoid(5 * scores)
        slope = 5 * soft * (1 - soft) * ((scores > 0) if is_sparse else 1)
        wanted = -(upstream * (full - high) * slope).sum((0, 2, 3))
    torch.testing.assert_close(layer.gate.threshold.grad, wanted)


@pytest.mark.parametrize("split", [[5], [2, 3], [1, 4]])
def test_average_bits_and_operations_are_a_recount(images, split):
    _, found = gated(bits=5, weight_bits=4)
    reset(found)
    opened = {"stem": 0, "middle": 0}
    for batch in images.split(split):
        found(batch)
        for name, each in counters(found).items():
            opened[name] += int(each.last.sum())
    macs = {"stem": 72, "middle": 72}
    positions = {"stem": 5 * 8 * 36, "middle": 5 * 12 * 9}
    told = spent(found)
    for name, each in told.items():
        assert each.dense == positions[name] * macs[name] * 4 * 5
        assert each.spent == macs[name] * 4 * (positions[name] * 2 + opened[name] * 3)
    bits = sum(2 * positions[name] + 3 * opened[name] for name in macs) / sum(positions.values())
    assert average_bits(found, told) == pytest.approx(bits)


@pytest.mark.parametrize("grain", GRAINS)
def test_an_image_does_not_depend_on_its_batch_mates(images, grain):
    _, found = gated(granularity=grain, ranges="average")
    alone = torch.cat([found(image[None]) for image in images])
    torch.testing.assert_close(found(torch.cat([images, 50 * images]))[:5], alone)


@pytest.mark.parametrize("share", [0.2, 0.7])
def test_a_share_of_positions_is_closed_at_first(share):
    _, found = gated(closed=share)
    found(SEEN)
    assert all(each.open_share == pytest.approx(1 - share, abs=0.02) for each in spent(found).values())


def test_layers_that_read_the_input_have_no_gates_unless_they_are_asked_for():
    _, found = gated(layers=())
    assert set(precision_gates(found)) == {"middle"}


def test_layers_elsewhere_have_the_bits_that_are_asked_for():
    _, found = gated(elsewhere="W8A8")
    assert {name: str(layer.bits) for name, layer in quantised_layers(found).items()} == {"last": "W8A8"}
    assert {str(layer.bits) for layer in precision_gates(found).values()} == {"W8A3"}


def test_what_can_not_be_split_is_refused():
    with pytest.raises(InvalidBits, match="2 bits have no 2 high ones"):
        gated(bits=2)
    with pytest.raises(InvalidBits, match="the one high bit of stem's inputs is their sign"):
        gated(prediction_bits=1)
    with pytest.raises(NothingToGate, match="no precision gates"):
        precision_gates(small())
