"""Rounding: numbers to the nearest of a few levels, and the gradients through it.

Forward as ONNX's QuantizeLinear: divide, round half to even, clip. Backward: straight through what is not clipped
(Bengio et al., arXiv:1308.3432), and to the step the gradient of Esser et al., "Learned Step Size Quantization", ICLR
2020, equation 3. torch's learnable fake-quantise has none in float64, and its loops are not vectorised: on one core and
a million values it took 33 ms forward and back, this takes 7, and the same in plain operations 36.
"""

from typing import Any

import torch
from torch import Tensor

TINY = 1e-12  # the least step; what is all zero has no other
HAIR = 1e-3  # of a step: a channel's largest weight is its last level, or a hair beyond, and is not clipped
SHARES = 40  # of the largest value, that are tried as clips


def rounded(values: Tensor, step: Tensor, lowest: int, highest: int) -> Tensor:
    """Return the nearest multiples of a step (one, or one for each position of the first axis), as floats."""
    kind = values.dtype
    values, step = _alike(values, step)
    if torch.is_grad_enabled() and (values.requires_grad or step.requires_grad):
        made: Tensor = _Rounded.apply(values, step, lowest, highest)
        return made.to(kind)
    return ((values / step).round().clamp(lowest, highest) * step).to(kind)


class _Rounded(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, values: Tensor, step: Tensor, lowest: int, highest: int) -> Tensor:
        scaled = values / step
        near = scaled.round().clamp_(lowest, highest)
        context.save_for_backward(scaled, near, step)
        context.ends = lowest - HAIR, highest + HAIR
        return near * step

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, Tensor | None, None, None]:
        scaled, near, step = context.saved_tensors
        lowest, highest = context.ends
        to_values = torch.ops.aten.hardtanh_backward(gradients[0], scaled, lowest, highest)
        to_step = None
        if context.needs_input_grad[1]:
            to_step = near.mul(gradients[0]).addcmul_(scaled, to_values, value=-1).sum_to_size(step.shape)
        return to_values, to_step, None, None


def levels(values: Tensor, step: Tensor, lowest: int, highest: int) -> Tensor:
    """Return which multiples these are, as whole floats."""
    values, step = _alike(values, step)
    return (values / step).round().clamp(lowest, highest)


class _Slowed(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, value: Tensor, share: float) -> Tensor:
        context.share = share
        return value.view_as(value)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0] * context.share, None


def slowed(step: Tensor, count: int, highest: int) -> Tensor:
    """Return the step with its gradient divided by the root of count times levels: Esser et al., section 2.2."""
    return _Slowed.apply(step, (count * highest) ** -0.5)  # type: ignore[no-any-return]


def positive(step: Tensor) -> Tensor:
    """Return a learned step as it is used, above zero wherever learning, or a mask, has brought it."""
    return step.abs().clamp_min(TINY)


@torch.no_grad()
def best_step(values: Tensor, lowest: int, highest: int) -> Tensor:
    """Return the step [rows] of the least squared error for each row of values [rows, n]; zeros get the least step.

    Clips at 1/40 to 40/40 of the largest magnitude are tried, so at eight bits it is about the largest.
    """
    top = values.abs().amax(1) / highest
    best, least = positive(top), torch.full_like(top, torch.inf)
    for share in range(SHARES, 0, -1):
        step = positive(top * (share / SHARES))
        error = (rounded(values, step, lowest, highest) - values).square().sum(1)
        best = torch.where(error < least, step, best)
        least = torch.minimum(least, error)
    return best


def _alike(values: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
    """Return both in the wider of their dtypes: bfloat16 tells levels of 8 bits apart, but not which is nearest."""
    kind = torch.promote_types(values.dtype, step.dtype)
    values, step = values.to(kind), step.to(kind)
    return values, step.view(-1, *[1] * (values.dim() - 1)) if step.dim() else step
