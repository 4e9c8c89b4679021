"""Tiles: gather squares of outputs of which anything is open, with what they read, and convolve them as a batch."""

import torch.nn.functional as F
from torch import Tensor

from elastic.dynamic.skipping.conditional import Conditional
from elastic.dynamic.skipping.gathering import add_at, gather, places
from elastic.dynamic.skipping.masks import any_pixel, spread


def add_tiles(part: Conditional, inputs: Tensor, mask: Tensor, base: Tensor, *, side: int) -> Tensor:
    """Change base to what it is with the conditional part where the mask is open, and return it.

    A tile has `side` pixels a side. The mask has pixels.
    """
    tiles = tiled(any_pixel(mask), side)  # [n, tiles down, tiles across, side * side]
    images, numbers = tiles.any(3).flatten(1).nonzero().unbind(1)
    if not len(images):
        return base
    windows = _windows(part, inputs, images, numbers, (tiles.shape[1], tiles.shape[2]), side)
    made = F.conv2d(windows, part.weight, None, part.stride, 0, part.dilation, part.groups)
    # [tiles, out, side, side] -> a row for each open pixel
    row, inner = tiles.flatten(1, 2)[images, numbers].nonzero().unbind(1)
    sums = made.permute(0, 2, 3, 1).flatten(1, 2)[row, inner]
    down = numbers[row] // tiles.shape[2] * side + inner // side
    across = numbers[row] % tiles.shape[2] * side + inner % side
    if mask.dim() == 4:
        sums *= spread(mask, part.outputs)[images[row], :, down, across]
    add_at(base, slice(None), images[row], down * base.shape[3] + across, sums)
    return base


def tiled(pixels: Tensor, side: int) -> Tensor:
    """Return a mask [n, oh, ow] as tiles [n, down, across, side * side]; what is beyond the image is closed."""
    high, wide = pixels.shape[1:]
    padded = F.pad(pixels, (0, -wide % side, 0, -high % side))
    down, across = padded.shape[1] // side, padded.shape[2] // side
    return padded.reshape(-1, down, side, across, side).transpose(2, 3).flatten(3)


def _windows(
    part: Conditional, inputs: Tensor, images: Tensor, numbers: Tensor, counts: tuple[int, int], side: int
) -> Tensor:
    """Return what tiles read, [tiles, channels, high, wide]."""
    (down, across), (high, wide) = part.stride, part.kernel
    window = (
        (side - 1) * down + (high - 1) * part.dilation[0] + 1,
        (side - 1) * across + (wide - 1) * part.dilation[1] + 1,
    )
    size = (inputs.shape[2], inputs.shape[3])
    of = places(size, counts, window, (side * down, side * across), part.padding, (1, 1))
    rows = gather(inputs, part.channels, images, numbers, of)
    return rows.view(len(rows), *window, rows.shape[2]).permute(0, 3, 1, 2)
