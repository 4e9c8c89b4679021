"""Bits: what is read, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elastic.errors import InvalidBits, UnknownName
from elastic.quantise import Bits, bits_of, parse_bits

LAYERS = ["conv1", "layer1.0.conv", "layer1.1.conv", "head"]


@given(st.integers(2, 8), st.integers(2, 8))
def test_what_is_written_is_read(weights, inputs):
    bits = Bits(weights, inputs)
    assert parse_bits(str(bits)) == bits


def test_later_patterns_win_and_order_is_that_of_the_layers():
    found = bits_of("W8A8,layer1.*=W4A4,layer1.1.*=W2A3,head=float", LAYERS)
    assert {name: str(bits) for name, bits in found.items()} == {
        "conv1": "W8A8", "layer1.0.conv": "W4A4", "layer1.1.conv": "W2A3",
    }  # fmt: skip
    assert list(found) == LAYERS[:3]


def test_only_what_a_pattern_names_has_bits():
    assert bits_of(["head=W4A8"], LAYERS) == {"head": Bits(4, 8)}


@pytest.mark.parametrize("text", ["", "8", "W8", "A8W8", "W8A8A", "W-1A8", "W4.5A8", "W8 A8"])
def test_what_can_not_be_read_is_refused(text):
    with pytest.raises(InvalidBits, match=f"can't read the bits '{text}'; write W8A8"):
        parse_bits(text)


@pytest.mark.parametrize("text", ["W1A8", "W8A9", "W16A8", "W0A0"])
def test_bits_out_of_range_are_refused(text):
    with pytest.raises(InvalidBits, match="bits can't be had; give 2 to 8"):
        bits_of(text, LAYERS)


def test_a_pattern_that_matches_no_layer_is_refused():
    with pytest.raises(UnknownName, match=r"is called 'layr\*'; there are: conv1, layer1.0.conv"):
        bits_of("W8A8,layr*=W4A4", LAYERS)
