"""Masks: which gates are open, in one of four kinds that the axes tell."""

from typing import Literal

import torch
from torch import Tensor

from elastic.dynamic.skipping.conditional import Conditional
from elastic.errors import MaskMismatch

Kind = Literal["pixels", "blocks", "channels", "both"]


def kind_of(mask: Tensor, outputs: int) -> Kind:
    """Return what a mask opens.

    [n, oh, ow] pixels; [n, blocks, oh, ow] pixels for each of several equal blocks of output channels; [n, out] whole
    channels; [n, out, oh, ow] both.
    """
    if mask.dim() == 2:
        return "channels"
    if mask.dim() == 3 or mask.shape[1] == 1:
        return "pixels"
    return "both" if mask.shape[1] == outputs else "blocks"


def spread(mask: Tensor, outputs: int) -> Tensor:
    """Return the mask as [n, out or 1, oh or 1, ow or 1], to be multiplied with outputs."""
    if mask.dim() == 2:
        return mask[:, :, None, None]
    if mask.dim() == 3:
        return mask[:, None]
    blocks = mask.shape[1]
    return mask if blocks in (1, outputs) else mask.repeat_interleave(outputs // blocks, 1)


def any_pixel(mask: Tensor) -> Tensor:
    """Return [n, oh, ow]: the pixels of which anything is open; of a mask that has pixels."""
    return mask if mask.dim() == 3 else mask.any(1)


def check(part: Conditional, inputs: Tensor, mask: Tensor, base: Tensor) -> None:
    """Raise MaskMismatch unless inputs, mask and base are of one layer and batch."""
    reads, (count, channels, height, width) = part.channels, inputs.shape
    made = (count, part.outputs, *part.size(height, width))
    if channels < reads.stop:
        raise MaskMismatch(
            f"the conditional part reads channels {reads.start} to {reads.stop - 1}, and the input has {channels}; "
            "give all channels of the layer's input"
        )
    if tuple(base.shape) != made or base.dtype != inputs.dtype:
        raise MaskMismatch(
            f"the base is {base.dtype} {list(base.shape)}, the conditional part makes {inputs.dtype} {list(made)}; "
            "both have to be of one layer and one input"
        )
    blocks = mask.shape[1] if mask.dim() == 4 else 1
    fits = {2: made[:2], 3: (count, *made[2:]), 4: (count, blocks, *made[2:])}.get(mask.dim())
    if mask.dtype != torch.bool or tuple(mask.shape) != fits or not blocks or part.outputs % blocks:
        raise MaskMismatch(
            f"a mask {mask.dtype} {list(mask.shape)} does not fit outputs {list(made)}; give bool [n, oh, ow], "
            "[n, blocks, oh, ow] with blocks that divide the channels, or [n, out]"
        )
