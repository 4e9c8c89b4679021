"""Judging: the epoch that is best on held-out images, and when no better one is to be expected."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from elastic.data import evaluate, images_loader
from elastic.training.records import Epoch

BATCH = 250


@dataclass(eq=False)
class Judge:
    """Held-out images, None where all weights are to be those of the last step; the best weights so far."""

    images: Dataset[tuple[Tensor, int]] | None
    patience: int | None
    best: dict[str, Tensor] = field(default_factory=dict)

    def measure(self, network: nn.Module, device: torch.device) -> dict[str, float]:
        """Return what an epoch tells of the held-out images."""
        if self.images is None:
            return {}
        found = evaluate(network, images_loader(self.images, BATCH), device)
        return {"validation_loss": found.loss, "validation_top1": found.top1}

    def judge(self, network: nn.Module, epochs: Sequence[Epoch]) -> bool:
        """Keep the weights if the last of the epochs is the best so far; return whether it ends here."""
        scores = [epoch.validation_top1 for epoch in epochs if epoch.validation_top1 is not None]
        if not scores:
            return False
        best = scores.index(max(scores)) + 1
        if best == len(epochs):
            self.best = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        return self.patience is not None and len(epochs) - best >= self.patience
