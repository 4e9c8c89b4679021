"""Opening: scores to gates that are open or closed, and outputs that are chosen by them.

A gate is open where sigmoid(slope * score) > 0.5, which is where the score is above zero. Backward the sigmoid's slope
stands in for the step's; with sparse back-propagation only where the gate is open.
"""

from typing import Any

import torch
from torch import Tensor

from elastic.dynamic_gating import Granularity


def opened(scores: Tensor, slope: float, is_sparse: bool = False) -> Tensor:
    """Return 1 where a score is above zero, 0 elsewhere, of the scores' dtype."""
    return _Opened.apply(scores, slope, is_sparse)  # type: ignore[no-any-return]


def chosen(full: Tensor, base: Tensor, gates: Tensor) -> Tensor:
    """Return what is full where gates are 1, what is base where they are 0, the very same bits.

    Gates have the shape of both, or 1 along some axes. Gradients are those of gates * full + (1 - gates) * base.
    """
    return _Chosen.apply(full, base, gates)  # type: ignore[no-any-return]


def pooled(scores: Tensor, granularity: Granularity, block: int) -> Tensor:
    """Return the mean scores of what shares a gate, of scores [n, c, ..]: shaped alike, or with 1 along some axes."""
    if granularity == "pixel":
        return scores.mean(1, keepdim=True)
    if granularity == "channel":
        return scores.mean(list(range(2, scores.dim())), keepdim=True)
    if granularity == "pixel-block":
        parts = torch.split(scores, block, 1)
        return torch.cat([part.mean(1, keepdim=True).expand_as(part) for part in parts], 1)
    return scores


def without_few(gates: Tensor, least: float) -> Tensor:
    """Return gates [n, c, ..], closed in an image's channels of which a smaller share than this is open."""
    if not least:
        return gates
    with torch.no_grad():
        is_enough = gates.mean(list(range(2, gates.dim())), keepdim=True) >= least
    return gates * is_enough


def column(values: Tensor, like: Tensor) -> Tensor:
    """Return values [c] shaped to go along the second axis of something [n, c, ..]."""
    return values.view(1, -1, *[1] * (like.dim() - 2))


class _Opened(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, scores: Tensor, slope: float, is_sparse: bool) -> Tensor:
        context.save_for_backward(scores)
        context.slope, context.is_sparse = slope, is_sparse
        return (scores > 0).to(scores.dtype)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (scores,) = context.saved_tensors
        soft = torch.sigmoid(context.slope * scores)
        found = context.slope * torch.ops.aten.sigmoid_backward(gradients[0], soft)  # g * s * (1 - s), in one pass
        return (found * (scores > 0) if context.is_sparse else found), None, None


class _Chosen(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, full: Tensor, base: Tensor, gates: Tensor) -> Tensor:
        context.save_for_backward(full, base, gates)
        return torch.where(gates > 0, full, base)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        full, base, gates = context.saved_tensors
        to_full = gradients[0] * gates
        to_gates = None
        if context.needs_input_grad[2]:
            to_gates = (gradients[0] * (full - base)).sum_to_size(gates.shape)
        return to_full, gradients[0] - to_full, to_gates
