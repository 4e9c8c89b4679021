"""Ways: each gives what the masked reference gives, whatever the layer and the mask."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from elastic.dynamic.skipping import WAYS, add_open, added, conditional, rows
from elastic.dynamic.skipping.channels import add_channels
from elastic.dynamic.skipping.dense import add_dense
from elastic.dynamic.skipping.rows import add_rows
from elastic.dynamic.skipping.tiles import add_tiles
from elastic.errors import MaskMismatch
from elastic.proofs import relative_error

OUT, FIRST = 8, 2
PIXELS = {"dense": add_dense, "rows": add_rows, "tiles": partial(add_tiles, side=4), "big": partial(add_tiles, side=8)}
CHANNELS = {"dense": add_dense, "channels": add_channels}
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


def example(mask, size=(9, 7), groups=1, kernel=(3, 3), images=3, dtype=torch.float64, **how):
    """Return part, inputs, a mask [n, ..] of a kind, a base, and what a plain masked convolution makes of them."""
    inputs = torch.randn(images, FIRST + 3 * groups, *size, dtype=dtype)
    weight = torch.randn(OUT, 3, *kernel, dtype=dtype)
    part = conditional(weight, groups=groups, first=FIRST, **how)
    base = torch.randn(images, OUT, *part.size(*size), dtype=dtype)
    shape = {"pixels": base.shape[2:], "channels": (OUT,), "both": base.shape[1:]}.get(mask)
    opened = torch.rand(images, *(shape or (int(mask), *base.shape[2:]))) > 0.6
    each = opened.repeat_interleave(OUT // opened.shape[1], 1) if opened.dim() == 4 else opened
    each = {2: each[..., None, None], 3: each[:, None], 4: each}[opened.dim()]
    made = F.conv2d(inputs[:, FIRST:], weight, None, groups=groups, **how)
    return part, inputs, opened, base, base + made * each


@st.composite
def layers(draw):
    """Return the arguments of an example."""
    two = st.tuples
    return {
        "size": draw(two(st.integers(5, 11), st.integers(5, 11))),
        "kernel": draw(two(st.integers(1, 3), st.integers(1, 3))),
        "stride": draw(two(st.integers(1, 3), st.integers(1, 3))),
        "padding": draw(two(st.integers(0, 2), st.integers(0, 2))),
        "dilation": draw(two(st.integers(1, 2), st.integers(1, 2))),
        "groups": draw(st.sampled_from([1, 2, 4])),
        "images": draw(st.sampled_from([1, 3])),
    }


@pytest.mark.parametrize("way", PIXELS)
@settings(max_examples=20)
@given(layers(), st.sampled_from(["pixels", "1", "2", "4", "both"]), st.sampled_from(sorted(LAYOUTS)))
def test_pixels_give_the_masked_convolution(way, layer, mask, layout):
    part, inputs, opened, base, wanted = example(mask, **layer)
    inputs, base = (each.to(memory_format=LAYOUTS[layout]) for each in (inputs, base))
    assert relative_error(PIXELS[way](part, inputs, opened, base), wanted) < 1e-10


@pytest.mark.parametrize("way", CHANNELS)
@settings(max_examples=20)
@given(layers(), st.sampled_from(sorted(LAYOUTS)))
def test_channels_give_the_masked_convolution(way, layer, layout):
    part, inputs, opened, base, wanted = example("channels", **layer)
    inputs, base = (each.to(memory_format=LAYOUTS[layout]) for each in (inputs, base))
    assert relative_error(CHANNELS[way](part, inputs, opened, base), wanted) < 1e-10


@pytest.mark.parametrize(("way", "mask"), [*((way, "pixels") for way in PIXELS), ("channels", "channels")])
def test_single_precision_is_as_near_as_it_can_be(way, mask):
    part, inputs, opened, base, wanted = example(mask, size=(30, 31), padding=1, dtype=torch.float32)
    assert relative_error({**PIXELS, **CHANNELS}[way](part, inputs, opened, base), wanted) < 1e-5


@pytest.mark.parametrize(("way", "mask"), [*((way, "2") for way in PIXELS), ("channels", "channels")])
def test_a_closed_mask_leaves_the_base_bit_for_bit(way, mask):
    part, inputs, opened, base, _ = example(mask, padding=1)
    kept = base.clone()
    assert torch.equal({**PIXELS, **CHANNELS}[way](part, inputs, torch.zeros_like(opened), base), kept)


@pytest.mark.parametrize(("way", "mask"), [*((way, "both") for way in PIXELS), ("channels", "channels")])
def test_an_open_mask_gives_the_whole_convolution(way, mask):
    part, inputs, opened, base, _ = example(mask, padding=1, groups=2)
    whole = base + F.conv2d(inputs[:, FIRST:], part.weight, None, padding=1, groups=2)
    found = {**PIXELS, **CHANNELS}[way](part, inputs, torch.ones_like(opened), base)
    assert relative_error(found, whole) < 1e-10


def test_rows_in_several_products_are_the_same_rows(monkeypatch):
    part, inputs, opened, base, wanted = example("2", padding=1)
    monkeypatch.setattr(rows, "AT_A_TIME", 100)
    assert relative_error(add_rows(part, inputs, opened, base), wanted) < 1e-10


def test_images_that_open_the_same_channels_are_convolved_together(monkeypatch):
    part, inputs, opened, base, _ = example("channels")
    opened[:] = opened[0]
    wanted, calls, real = add_dense(part, inputs, opened, base.clone()), [], F.conv2d
    monkeypatch.setattr(F, "conv2d", lambda *given: calls.append(len(given[0])) or real(*given))
    assert relative_error(add_channels(part, inputs, opened, base), wanted) < 1e-10
    assert calls == [3]


@pytest.mark.parametrize("way", ["rows", "tiles"])
def test_a_window_beyond_the_border_is_zero_whatever_is_near(way):
    part, inputs, opened, base, _ = example("pixels", kernel=(1, 1), padding=2)
    inputs[:, :, 0, 0] = torch.inf  # the nearest pixel, which is no part of the window
    opened[:] = False
    opened[:, 0, 0] = True
    kept = base.clone()
    assert torch.equal(PIXELS[way](part, inputs, opened, base), kept)


def test_a_copy_is_added_to_where_the_base_is_kept():
    part, inputs, opened, base, wanted = example("pixels")
    kept = base.clone()
    assert relative_error(added(part, inputs, opened, base), wanted) < 1e-10
    assert torch.equal(base, kept)
    assert add_open(part, inputs, opened, base) is base


REFUSED = {
    "half a block": (lambda mask: mask[:, None].repeat(1, 3, 1, 1), r"a mask torch.bool \[3, 3, 7, 5\] does not fit"),
    "numbers": (lambda mask: mask.float(), "a mask torch.float32"),
    "another size": (lambda mask: mask[:, 1:], r"\[3, 6, 5\] does not fit outputs \[3, 8, 7, 5\]"),
    "another batch": (lambda mask: mask[:2], r"\[2, 7, 5\] does not fit"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_mask_that_does_not_fit_is_refused(name):
    part, inputs, opened, base, _ = example("pixels")
    change, said = REFUSED[name]
    with pytest.raises(MaskMismatch, match=said):
        add_open(part, inputs, change(opened), base)


def test_inputs_without_the_channels_that_are_read_are_refused():
    part, inputs, opened, base, _ = example("pixels")
    with pytest.raises(MaskMismatch, match="reads channels 2 to 4, and the input has 4"):
        add_open(part, inputs[:, 1:], opened, base)


def test_a_base_of_another_size_is_refused():
    part, inputs, opened, base, _ = example("pixels")
    with pytest.raises(MaskMismatch, match=r"the base is torch.float64 \[3, 8, 6, 5\], .* makes .* \[3, 8, 7, 5\]"):
        add_open(part, inputs, opened, base[:, :, 1:])


def test_every_way_says_which_masks_it_takes():
    assert {kind for way in WAYS.values() for kind in way.kinds} == {"pixels", "blocks", "channels", "both"}
