"""How often a network is right, as exact counts."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from elastic.errors import DataError
from elastic.modes import eval_mode


@dataclass(frozen=True)
class Metrics:
    """What was counted over `images` images; `loss` is the mean cross-entropy in nats."""

    images: int
    correct: int
    correct_in_five: int
    loss: float

    @property
    def top1(self) -> float:
        """Percent of images whose label has the largest logit."""
        return 100 * self.correct / self.images

    @property
    def top5(self) -> float:
        """Percent of images whose label is among the five largest logits."""
        return 100 * self.correct_in_five / self.images


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    loader: DataLoader[tuple[Tensor, Tensor]],
    device: torch.device | str = "cpu",
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Metrics:
    """Return the metrics over all batches. The model, which must be on `device`, is in eval mode meanwhile.

    `progress` is called with the images done and all images, after each batch. Raises DataError for a label that the
    network has no output for, and where there are no images.
    """
    total = len(loader.dataset)  # type: ignore[arg-type]
    images_done, correct, correct_in_five, loss = 0, 0, 0, 0.0
    with eval_mode(model):
        for images, labels in loader:
            logits, labels = model(images.to(device)), labels.to(device)
            _check(logits, labels)
            is_hit = logits.topk(min(5, logits.shape[1]), dim=1).indices == labels[:, None]  # [n, 5], best first
            correct += int(is_hit[:, 0].sum())
            correct_in_five += int(is_hit.sum())
            loss += F.cross_entropy(logits.float(), labels, reduction="sum").item()
            images_done += len(labels)
            if progress is not None:
                progress(images_done, total)
    if images_done == 0:
        raise DataError("there is not one image to evaluate on")
    return Metrics(images_done, correct, correct_in_five, loss / images_done)


def _check(logits: Tensor, labels: Tensor) -> None:
    if not isinstance(logits, Tensor) or logits.dim() != 2:
        what = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise DataError(f"the network returns {what}, not logits [images, classes]: it is no classifier")
    if int(labels.max()) >= logits.shape[1] or int(labels.min()) < 0:
        raise DataError(
            f"a label is {int(labels.max())}, but the network has {logits.shape[1]} outputs: "
            f"these are not the data, or not the label order, that it was trained for"
        )
