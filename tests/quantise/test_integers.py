"""Integers: the same sums as a plain loop, and as the network that only rounds."""

import itertools

import pytest
import torch
from torch import nn

import elastic
from elastic.errors import InvalidBits
from elastic.proofs import relative_error
from elastic.quantise import folded, in_integers, quantised
from elastic.quantise.integers import integer_layers

LAYERS = {
    "conv": (nn.Conv2d(4, 6, 3), (4, 7, 7)),
    "moved": (nn.Conv2d(4, 6, 3, stride=2, padding=(1, 2), dilation=2), (4, 9, 9)),
    "grouped": (nn.Conv2d(4, 6, 3, groups=2, bias=False), (4, 6, 6)),
    "depthwise": (nn.Conv2d(4, 8, 3, groups=4, padding=1), (4, 6, 6)),
    "reflected": (nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"), (4, 6, 6)),
    "one axis": (nn.Conv1d(4, 6, 3), (4, 9)),
    "three axes": (nn.Conv3d(2, 3, 2), (2, 4, 4, 4)),
    "linear": (nn.Linear(9, 5), (9,)),
    "linear with an axis more": (nn.Linear(9, 5), (3, 9)),
}


def made(name, bits="W8A8", is_signed=True):
    torch.manual_seed(0)
    layer, shape = LAYERS[name]
    inputs = torch.randn(3, *shape) if is_signed else torch.rand(3, *shape)
    return quantised(nn.Sequential(layer), [inputs], bits), inputs


@pytest.mark.parametrize("is_signed", [True, False])
@pytest.mark.parametrize("bits", ["W8A8", "W4A3"])
@pytest.mark.parametrize("name", LAYERS)
def test_sums_are_those_of_the_rounded_network(name, bits, is_signed):
    network, inputs = made(name, bits, is_signed)
    layer = network[0]
    whole = in_integers(network)[0]
    with torch.no_grad():
        sums = whole.sums(whole.input_quantiser.levels(inputs))
        rounded = layer.through(
            layer.input_quantiser(inputs).double(), layer.weight_quantiser(layer.weight).double(), None
        )
        wanted = (rounded / whole._along_channels(whole.step).double()).round()
        assert sums.dtype == torch.int32
        assert torch.equal(sums.double(), wanted)
        assert torch.equal(whole(inputs), layer(inputs))
    products = layer(inputs).detach()  # of floats, where gradients may be asked for
    assert relative_error(whole(inputs).detach(), products) < 1e-5


def test_sums_are_those_of_a_plain_loop_over_whole_numbers():
    network, inputs = made("moved")
    layer = in_integers(network)[0]
    levels, weight = layer.input_quantiser.levels(inputs), layer.weight
    padded = nn.functional.pad(levels.int(), (2, 2, 1, 1))  # width, then height
    sums = layer.sums(levels)
    for image, row, column in itertools.product(range(3), range(sums.shape[2]), range(sums.shape[3])):
        patch = padded[image, :, 2 * row : 2 * row + 5 : 2, 2 * column : 2 * column + 5 : 2]  # [in, 3, 3]
        assert torch.equal(sums[image, :, row, column], (weight.int() * patch).sum((1, 2, 3), dtype=torch.int32))


def test_digits_are_told_apart_as_by_the_rounded_network(trained, rounded_digits, tested):
    found = in_integers(folded(rounded_digits, elastic.trace(trained, tested[:1]), tested[:2]))
    with torch.no_grad():
        assert torch.equal(found(tested).argmax(1), rounded_digits(tested).argmax(1))
    assert all(layer.weight.dtype == torch.int8 for layer in integer_layers(found).values())


def test_sums_that_may_not_fit_are_refused():
    network = quantised(nn.Sequential(nn.Linear(70_000, 1, bias=False)), [torch.rand(2, 70_000)])
    with torch.no_grad():
        network[0].weight.fill_(1)
    with pytest.raises(InvalidBits, match="sums of 0 may come to 2266950000, more than 32 bits hold"):
        in_integers(network)
