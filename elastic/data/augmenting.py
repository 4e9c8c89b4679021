"""Random shifts and mirror images for training, a whole batch at once.

He et al., arXiv:1512.03385, section 4.2: four pixels of padding on each side, a random crop, a random mirror image.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def augment(images: Tensor, *, shift: int = 4, mirror: bool = True, generator: torch.Generator | None = None) -> Tensor:
    """Return the images [n, c, h, w], each shifted by up to `shift` pixels both ways and mirrored half of the time.

    What comes in at the edges is zero: the mean colour, once images are normalised. Digits should not be mirrored.
    The `generator` lives on the CPU, so that every device draws the same.
    """
    count, _, height, width = images.shape
    top, left = torch.randint(0, 2 * shift + 1, (2, count, 1), generator=generator)
    is_mirrored = torch.rand(count, 1, generator=generator) < (0.5 if mirror else 0.0)
    rows = top + torch.arange(height)  # [n, h]
    columns = torch.where(is_mirrored, torch.arange(width - 1, -1, -1), torch.arange(width)) + left  # [n, w]
    padded = F.pad(images, (shift,) * 4).permute(0, 2, 3, 1)
    picked = padded[torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]  # [n, h, w, c]
    return picked.permute(0, 3, 1, 2).contiguous()
