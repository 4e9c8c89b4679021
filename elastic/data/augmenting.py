"""Random shifts and mirror images for training, a whole batch at once.

He et al., arXiv:1512.03385, section 4.2: four pixels of padding on each side, a random crop, a random mirror image.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Moves:
    """How each image of a batch is moved: by up to `shift` pixels down and to the right, counted from `-shift`."""

    top: Tensor  # [n], 0 to 2 * shift
    left: Tensor  # [n]
    is_mirrored: Tensor  # [n]
    shift: int

    def part(self, which: slice) -> "Moves":
        """Return the moves of some of the images."""
        return Moves(self.top[which], self.left[which], self.is_mirrored[which], self.shift)


def augment(images: Tensor, *, shift: int = 4, mirror: bool = True, generator: torch.Generator | None = None) -> Tensor:
    """Return the images [n, c, h, w], each shifted by up to `shift` pixels both ways and mirrored half of the time.

    What comes in at the edges is zero: the mean colour, once images are normalised. Digits should not be mirrored.
    The `generator` lives on the CPU, so that every device draws the same.
    """
    return moved(images, draw_moves(len(images), shift=shift, mirror=mirror, generator=generator))


def draw_moves(count: int, *, shift: int, mirror: bool, generator: torch.Generator | None = None) -> Moves:
    """Return random moves of so many images."""
    top, left = torch.randint(0, 2 * shift + 1, (2, count), generator=generator)
    return Moves(top, left, torch.rand(count, generator=generator) < (0.5 if mirror else 0.0), shift)


def moved(images: Tensor, moves: Moves) -> Tensor:
    """Return the images [n, c, h, w], moved."""
    count, _, height, width = images.shape
    rows = moves.top[:, None] + torch.arange(height)  # [n, h]
    ahead, back = torch.arange(width), torch.arange(width - 1, -1, -1)
    columns = torch.where(moves.is_mirrored[:, None], back, ahead) + moves.left[:, None]  # [n, w]
    padded = F.pad(images, (moves.shift,) * 4).permute(0, 2, 3, 1)
    picked = padded[torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]  # [n, h, w, c]
    # A copy in any case: images of one channel would keep strides that torch takes for channels last, and its gradients
    # of narrow 1x1 convolutions with a stride write out of bounds there (torch 2.14, processors without AVX-512).
    return picked.permute(0, 3, 1, 2).clone(memory_format=torch.contiguous_format)
