"""Shortcuts: the same shape, layout and dtype as torch's own kernel, and what is not plain is left to torch."""

import pytest
import torch
from torch import Tensor

from elastic.tracing.following import shortcuts
from elastic.tracing.following.call import Call
from elastic.tracing.following.shortcuts import SHORTCUTS

aten = torch.ops.aten


def meta(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


IMAGES = meta(2, 6, 8, 10)
PERMUTED = meta(2, 8, 10, 6).permute(0, 3, 1, 2)
SLICED = meta(2, 12, 8, 10)[:, ::2]
EXPANDED = meta(2, 6, 1, 10).expand(2, 6, 8, 10)
TOKENS = meta(2, 6, 8).transpose(1, 2)
CHANNELS = meta(6)
ONES = meta(1, 6, 1, 1)

PLAIN = {
    "relu": (aten.relu.default, IMAGES),
    "gelu, permuted": (aten.gelu.default, PERMUTED),
    "silu, sliced": (aten.silu.default, SLICED),
    "hardtanh": (aten.hardtanh.default, IMAGES, 0, 6),
    "sum of one layout": (aten.add.Tensor, IMAGES, IMAGES),
    "sum of two layouts": (aten.add.Tensor, PERMUTED, IMAGES),
    "sum of two layouts, the other first": (aten.add.Tensor, IMAGES, PERMUTED),
    "quotient of what is expanded": (aten.div.Tensor, PERMUTED, EXPANDED),
    "product with channels": (aten.mul.Tensor, IMAGES, ONES),
    "product of channels and a permuted tensor": (aten.mul.Tensor, PERMUTED, ONES),
    "channels first": (aten.mul.Tensor, meta(8), meta(2, 6, 8).permute(1, 0, 2)),
    "product with a number": (aten.mul.Tensor, SLICED, 0.5),
    "masked": (aten.masked_fill.Scalar, PERMUTED, meta(8, 10, dtype=torch.bool), 0.0),
    "rolled": (aten.roll.default, PERMUTED, [1, 1], [2, 3]),
    "softmax": (aten._softmax.default, IMAGES, -1, False),
    "mean": (aten.mean.dim, IMAGES, [2, 3]),
    "mean that keeps its axes": (aten.mean.dim, IMAGES, [-1, -2], True),
    "length": (aten.linalg_vector_norm.default, TOKENS, 2.0, [-1], True),
    "layer norm": (aten.native_layer_norm.default, TOKENS, [6], CHANNELS, CHANNELS, 1e-5),
    "batch norm": (aten.native_batch_norm.default, IMAGES, *[CHANNELS] * 4, False, 0.1, 1e-5),
    "mm": (aten.mm.default, meta(3, 4), meta(5, 4).t()),
    "addmm": (aten.addmm.default, meta(5), meta(3, 4), meta(4, 5)),
    "bmm": (aten.bmm.default, meta(2, 3, 4), meta(2, 4, 5)),
    "cat": (aten.cat.default, [IMAGES, meta(2, 1, 8, 10)], 1),
    "cat of tokens": (aten.cat.default, [meta(2, 1, 6), TOKENS], 1),
    "upsampled": (aten.upsample_bilinear2d.vec, IMAGES, [3, 30], False, None),
    "upsampled, permuted": (aten.upsample_bilinear2d.vec, PERMUTED, [3, 30], False, None),
    "upsampled by bicubic": (aten.upsample_bicubic2d.default, IMAGES, [16, 20], False),
    "upsampled by nearest": (aten.upsample_nearest2d.default, IMAGES, [16, 20]),
    "convolution": (aten.convolution.default, IMAGES, meta(4, 3, 3, 2), meta(4), [2, 1], [1, 0], [1, 2], 0, [0, 0], 2),
    "convolution of sequences": (aten.convolution.default, TOKENS, meta(4, 8, 3), None, [1], [1], [1], 0, [0], 1),
    "convolution of what is permuted": (
        aten.convolution.default, PERMUTED, meta(4, 6, 1, 1), None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PLAIN)
def test_a_shortcut_makes_what_torch_makes(name):
    func, *args = PLAIN[name]
    call = Call(func, tuple(args), {}, None)
    assert SHORTCUTS[call.name](*args) is not NotImplemented
    got, wanted = (out if isinstance(out, tuple) else (out,) for out in (shortcuts.run(call), func(*args)))
    for one, other in list(zip(got, wanted, strict=True))[: 1 if "norm" in name else None]:  # statistics go nowhere
        assert (one.shape, layout(one), one.dtype) == (other.shape, layout(other), other.dtype)


def layout(x: Tensor) -> list[int]:
    """Return the strides, but for axes of one, whose stride says nothing."""
    return [stride for stride, size in zip(x.stride(), x.shape, strict=True) if size > 1]


WRONG = {
    "sum of shapes that don't fit": (aten.add.Tensor, IMAGES, meta(3, 1)),
    "mm of widths that don't fit": (aten.mm.default, meta(3, 4), meta(5, 4)),
    "norm of another width": (aten.native_batch_norm.default, IMAGES, *[meta(5)] * 4, False, 0.1, 1e-5),
    "layer norm of another width": (aten.native_layer_norm.default, TOKENS, [5], meta(5), meta(5), 1e-5),
    "cat of other sizes": (aten.cat.default, [IMAGES, meta(2, 1, 8, 9)], 1),
    "convolution of another width": (
        aten.convolution.default, IMAGES, meta(4, 5, 1, 1), None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1
    ),
    "convolution of what is too small": (
        aten.convolution.default, IMAGES, meta(4, 6, 9, 9), None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1
    ),
    "convolution with a bias of another width": (
        aten.convolution.default, IMAGES, meta(4, 6, 1, 1), meta(3), [1, 1], [0, 0], [1, 1], True, [0, 0], 1
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_torch_refuses_is_refused(name):
    func, *args = WRONG[name]
    with pytest.raises((RuntimeError, ValueError)):
        shortcuts.run(Call(func, tuple(args), {}, None))


OTHER = {
    "integers": (aten.add.Tensor, meta(3, dtype=torch.int64), 1.5),
    "two dtypes": (aten.mul.Tensor, meta(3), meta(3, dtype=torch.float64)),
    "what is expanded": (aten.relu.default, EXPANDED),
    "transposed convolution": (
        aten.convolution.default, IMAGES, meta(6, 4, 2, 2), None, [2, 2], [0, 0], [1, 1], True, [1, 1], 1
    ),
    "softmax, permuted": (aten._softmax.default, PERMUTED, -1, False),
    "channels last": (aten.cat.default, [PERMUTED, PERMUTED], 1),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER)
def test_what_is_not_plain_is_what_torch_makes(name):
    func, *args = OTHER[name]
    got, wanted = shortcuts.run(Call(func, tuple(args), {}, None)), func(*args)
    assert (got.shape, layout(got), got.dtype) == (wanted.shape, layout(wanted), wanted.dtype)


def test_an_operation_in_place_returns_what_it_changed():
    x = meta(2, 3)
    assert shortcuts.run(Call(aten.relu_.default, (x,), {}, None)) is x
    assert shortcuts.run(Call(aten.add_.Tensor, (x, meta(2, 3)), {}, None)) is x
    with pytest.raises(RuntimeError):
        shortcuts.run(Call(aten.add_.Tensor, (x, meta(4, 2, 3)), {}, None))


def test_values_are_computed():
    x = torch.tensor([-1.0, 2.0])
    assert shortcuts.run(Call(aten.relu.default, (x,), {}, None)).tolist() == [0.0, 2.0]
