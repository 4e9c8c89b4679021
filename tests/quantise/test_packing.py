"""Packing: bits as many as were asked for, and back."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import nn

from elastic.errors import CheckpointMismatch
from elastic.proofs import same_bits
from elastic.quantise import load_packed, packed_size, packed_state, quantised
from elastic.quantise.packing import packed, unpacked
from tests.wirings import WIRINGS


@st.composite
def levels(draw):
    bits = draw(st.integers(2, 8))
    half = 1 << (bits - 1)
    return bits, np.array(draw(st.lists(st.integers(-half, half - 1), max_size=50)), np.int8)


@given(levels())
def test_what_is_packed_is_unpacked_and_takes_its_bits(case):
    bits, numbers = case
    data = packed(numbers, bits)
    assert len(data) == math.ceil(bits * len(numbers) / 8)
    assert np.array_equal(unpacked(data, bits, len(numbers)), numbers)


def test_the_stream_is_bit_by_bit_from_the_least():
    assert packed(np.array([-4, 3, 1], np.int8), 3).tolist() == [0b01111000, 0b1]  # 0, 7, 5 in three bits each


@pytest.mark.parametrize("bits", ["W2A8", "W3A4", "W4A4", "W5A8", "W6A8", "W7A8", "W8A8"])
@pytest.mark.parametrize("weights", ["max", "learned"])
def test_what_is_kept_computes_the_same_bits(bits, weights, tmp_path):
    torch.manual_seed(0)
    model, images = WIRINGS["chain"].make(), torch.randn(4, 3, 6, 6)
    network = quantised(model, [images], bits, weights=weights)
    path = tmp_path / "net.safetensors"
    save_file(packed_state(network), path, {"format": "pt"})
    assert path.stat().st_size == packed_size(network)
    other = quantised(WIRINGS["chain"].make(), [torch.rand(4, 3, 6, 6)], bits, weights=weights)
    with torch.no_grad():
        assert same_bits(load_packed(other, load_file(path))(images), network(images))


def test_fewer_bits_are_fewer_bytes():
    model, images = nn.Sequential(nn.Linear(256, 256)), torch.randn(2, 256)
    sizes = [packed_size(quantised(model, [images], bits)) for bits in ("W8A8", "W4A8", "W2A8")]
    assert sizes[0] - sizes[1] == 256 * 256 // 2
    assert sizes[1] - sizes[2] == 256 * 256 // 4


@pytest.mark.parametrize(("bits", "told"), [("W4A8", "bytes for 216 levels of 4 bits, which need 108")])
def test_weights_of_other_bits_are_refused(bits, told):
    model, images = WIRINGS["chain"].make(), torch.randn(4, 3, 6, 6)
    state = packed_state(quantised(model, [images], "W8A8"))
    with pytest.raises(CheckpointMismatch, match=told):
        load_packed(quantised(model, [images], bits), state)


def test_a_state_of_another_network_is_refused():
    model, images = WIRINGS["chain"].make(), torch.randn(4, 3, 6, 6)
    other = packed_state(quantised(WIRINGS["residual"].make(), [images]))
    with pytest.raises(CheckpointMismatch, match="no packed weight of b with 10 steps"):
        load_packed(quantised(model, [images]), other)
