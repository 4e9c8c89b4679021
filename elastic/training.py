"""Train a network on images: one small loop, the same from scratch and after a cut.

SGD with momentum under a one-cycle learning rate (Smith and Topin, "Super-Convergence", 2018), labels smoothed; norms
and biases are not decayed.
"""

from collections.abc import Callable, Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

from elastic.data import augment, images_loader

WEIGHT_DECAY = 5e-4
LABEL_SMOOTHING = 0.1


def train(
    model: nn.Module,
    dataset: Dataset[tuple[Tensor, int]],
    *,
    epochs: int,
    learning_rate: float = 0.1,
    batch_size: int = 128,
    shift: int = 1,
    seed: int = 0,
    parameters: Sequence[nn.Parameter] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Change the model's weights to those that `epochs` over the data set give, and leave it in eval mode.

    Only `parameters` are trained, all of them if None; norms re-estimate their statistics in any case. Images are
    shifted by up to `shift` pixels, each epoch anew. The same seed gives the same weights on one machine and number of
    threads. `progress` is called with the steps done and all steps.
    """
    loader = images_loader(dataset, batch_size, seed=seed, shuffle=True)
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.SGD(
        _decayed(model.parameters() if parameters is None else parameters),
        lr=learning_rate,
        momentum=0.9,
        nesterov=True,
    )
    steps = epochs * len(loader)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, learning_rate, total_steps=steps, pct_start=0.3)
    model.train()
    done = 0
    for _ in range(epochs):
        for images, labels in loader:
            logits = model(augment(images, shift=shift, mirror=False, generator=generator))
            loss = F.cross_entropy(logits, labels, label_smoothing=LABEL_SMOOTHING)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            done += 1
            if progress is not None:
                progress(done, steps)
    model.eval()


def norm_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Return the weights and biases of norms, and the biases of other layers: what is cheap to keep for each level."""
    return [p for p in model.parameters() if p.dim() <= 1]


def _decayed(parameters: Iterable[nn.Parameter]) -> list[dict[str, object]]:
    found = list(parameters)
    weights, others = [p for p in found if p.dim() > 1], [p for p in found if p.dim() <= 1]
    return [{"params": weights, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
