"""Deciding: from base sums to masks of few numbers, such as skipping takes, without gates that learn.

A gate's norm in eval mode is a number to multiply with and one to add for each channel, and what shares a gate is
decided by a mean. So the scores of pixels are one product of base sums with a matrix [c, gates of a pixel].
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from elastic.dynamic.channel.layers import ChannelGate
from elastic.dynamic.opening import column, without_few
from elastic.dynamic_gating import ChannelGating
from elastic.quantise.folding import factor_of


@dataclass(frozen=True, eq=False)
class Scoring:
    """What makes scores of base sums: the norm that decides, and for gates of pixels means over blocks of it."""

    scale: Tensor  # [c]
    shift: Tensor
    block: int  # channels that share a gate of a pixel; 0 where gates are of channels
    matrix: Tensor  # [c, blocks]: the scale, in a channel's block, divided by the block's size
    offset: Tensor  # [blocks]


def affine(norm: nn.modules.batchnorm._BatchNorm) -> tuple[Tensor, Tensor]:
    """Return what a norm with running statistics multiplies each channel with in eval mode, and what it adds."""
    assert norm.running_mean is not None
    scale = factor_of(norm)
    shift = -norm.running_mean * scale
    return scale.detach(), (shift if norm.bias is None else shift + norm.bias).detach()


def scoring_of(gate: ChannelGate) -> Scoring:
    """Return how a gate makes scores; its thresholds are not in it."""
    scale, shift = affine(gate.norm)
    block = block_of(gate.gating, len(scale))
    numbers = torch.arange(len(scale)) // (block if block > 1 else len(scale))
    matrix = F.one_hot(numbers).to(scale)
    matrix /= matrix.sum(0)
    return Scoring(scale, shift, block, matrix * scale[:, None], shift @ matrix)


def block_of(gating: ChannelGating, channels: int) -> int:
    """Return how many channels share the gate of a pixel, 0 if gates are of channels."""
    blocks = {"pixel-channel": 1, "pixel-block": min(gating.block, channels), "pixel": channels, "channel": 0}
    return blocks[gating.granularity]


def decide(gate: ChannelGate, scoring: Scoring, sums: Tensor) -> Tensor:
    """Return the mask of base sums [n, c, oh, ow], of the kind that gates allow; the gate's counter counts it.

    [n, c] for gates of channels, [n, oh, ow] of pixels, else [n, gates of a pixel, oh, ow]; [n, c, oh, ow] for blocks
    that are not all of one size.
    """
    scores = _scores(scoring, sums)  # [n, gates, oh or 1, ow or 1]
    mask = scores > column(_shared(gate.threshold, scoring.block), scores)
    if gate.threshold_above is not None:
        mask &= scores < column(_shared(gate.threshold_above, scoring.block), scores)
    if gate.gating.coarse:
        mask = without_few(mask.to(sums.dtype), gate.gating.coarse) > 0
    if scoring.block and sums.shape[1] % scoring.block:
        mask = mask.repeat_interleave(scoring.block, 1)[:, : sums.shape[1]]
    gate.counter(mask, sums.shape)
    if not scoring.block:
        return mask[:, :, 0, 0]
    return mask[:, 0] if mask.shape[1] == 1 else mask


def _scores(scoring: Scoring, sums: Tensor) -> Tensor:
    """Return the norm's outputs, means of what shares a gate."""
    if scoring.block == 1:
        return torch.addcmul(column(scoring.shift, sums), sums, column(scoring.scale, sums))
    if not scoring.block:
        means = sums.mean((2, 3), keepdim=True)
        return torch.addcmul(column(scoring.shift, sums), means, column(scoring.scale, sums))
    found = sums.permute(0, 2, 3, 1) @ scoring.matrix + scoring.offset  # [n, oh, ow, blocks]
    return found.permute(0, 3, 1, 2)


def _shared(thresholds: Tensor, block: int) -> Tensor:
    """Return the mean threshold of what shares a gate, [gates of a pixel], or [c] of channels."""
    if block < 2:
        return thresholds
    counts = [min(block, len(thresholds) - begin) for begin in range(0, len(thresholds), block)]
    # Not a product with a matrix: thresholds may be infinite.
    return F.pad(thresholds, (0, -len(thresholds) % block)).view(-1, block).sum(1) / thresholds.new_tensor(counts)
