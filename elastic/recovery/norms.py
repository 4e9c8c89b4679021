"""Norms: statistics of batch norms estimated anew on the images that a network will see.

Their exact average over all images, layer by layer as torch computes them in train mode, not a running one.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from elastic.modes import eval_mode

BatchNorm = nn.modules.batchnorm._BatchNorm


@torch.no_grad()
def reestimate_norms(model: nn.Module, batches: Iterable[Tensor]) -> int:
    """Change the running statistics of all batch norms to their averages over the batches; return how many there are.

    Batches [n, ..] count by their sizes. All else stays in eval mode. Momentum and the count of batches are as before.
    """
    norms = [m for m in model.modules() if isinstance(m, BatchNorm) and m.running_mean is not None]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    with eval_mode(model):
        for norm in norms:
            norm.reset_running_stats()
            norm.train()
        total = 0
        for batch in batches if norms else ():
            total += len(batch)
            for norm in norms:
                norm.momentum = len(batch) / total  # which makes the average over all batches so far, by their sizes
            model(batch)
    for norm, (momentum, count) in zip(norms, before, strict=True):
        norm.momentum, norm.num_batches_tracked = momentum, count
    return len(norms)
