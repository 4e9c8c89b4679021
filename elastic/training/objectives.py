"""Objectives: what a step makes smaller, and the images that it sees."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from elastic.data.augmenting import draw_moves, moved
from elastic.recipes import Recipe


@dataclass(frozen=True, eq=False)
class Batch:
    """A process's images [n, c, h, w] of a step, their labels [n]; of all `total` images of the step.

    Where images are mixed, `share` of each is its own, and the rest is of the image whose label `others` has.
    """

    images: Tensor
    labels: Tensor
    total: int
    others: Tensor | None = None
    share: float = 1.0

    def to(self, device: torch.device) -> "Batch":
        """Return the same on a device."""
        others = None if self.others is None else self.others.to(device)
        return Batch(self.images.to(device), self.labels.to(device), self.total, others, self.share)


def prepared(recipe: Recipe, images: Tensor, labels: Tensor, part: slice, total: int) -> Batch:
    """Return the images moved, mirrored and mixed; draws are of torch's global generator, for all processes' images."""
    moves = draw_moves(total, shift=recipe.shift, mirror=recipe.mirror)
    images = moved(images, moves.part(part))
    if recipe.mix is None:
        return Batch(images, labels, total)
    strength = torch.tensor(recipe.mix_strength)
    share = float(torch.distributions.Beta(strength, strength).sample())
    if recipe.mix == "mixup":
        return Batch(share * images + (1 - share) * images.flip(0), labels, total, labels.flip(0), share)
    return _with_pieces(images, labels, total, share)


def _with_pieces(images: Tensor, labels: Tensor, total: int, share: float) -> Batch:
    """Return images with a rectangle of others: Yun et al., "CutMix", ICCV 2019, section 3.1."""
    height, width = images.shape[-2:]
    middle = torch.rand(2)
    half = 0.5 * (1 - share) ** 0.5
    top, bottom = (int(height * min(max(float(middle[0]) + side * half, 0), 1)) for side in (-1, 1))
    left, right = (int(width * min(max(float(middle[1]) + side * half, 0), 1)) for side in (-1, 1))
    found = images.clone()
    found[..., top:bottom, left:right] = images.flip(0)[..., top:bottom, left:right]
    covered = (bottom - top) * (right - left) / (height * width)
    return Batch(found, labels, total, labels.flip(0), 1 - covered)


def loss_of(made: Sequence[Tensor], batch: Batch, recipe: Recipe, wanted: Tensor | None) -> Tensor:
    """Return the sum over images of the loss of one network's logits, or of several networks', the teacher first.

    Each is cross-entropy and the distance to the logits `wanted`; of all but the first, to the first's.
    """
    first, *others = made
    loss = _loss(first, batch, recipe, wanted)
    for logits in others:
        loss = loss + _loss(logits, batch, recipe, first.detach())
    return loss


def _loss(logits: Tensor, batch: Batch, recipe: Recipe, wanted: Tensor | None) -> Tensor:
    """Return the loss of one network.

    The distance is that of Hinton et al., arXiv:1503.02531, section 2: the divergence between softened outputs, times
    the square of the temperature.
    """
    smooth, softly = recipe.label_smoothing, recipe.temperature
    loss = batch.share * F.cross_entropy(logits, batch.labels, reduction="sum", label_smoothing=smooth)
    if batch.others is not None:
        rest = F.cross_entropy(logits, batch.others, reduction="sum", label_smoothing=smooth)
        loss = loss + (1 - batch.share) * rest
    if wanted is None or recipe.distil == 0:
        return loss
    one, other = F.log_softmax(logits / softly, 1), F.log_softmax(wanted / softly, 1)
    distance = F.kl_div(one, other, reduction="sum", log_target=True) * softly**2
    return (1 - recipe.distil) * loss + recipe.distil * distance
