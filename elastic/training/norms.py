"""Norms over all processes: batch statistics of a step are those of all its images, however many share them.

Torch's own SyncBatchNorm runs on GPUs alone, and is another class of module; here the modules stay what they are.
"""

import contextlib
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn.modules.batchnorm import _BatchNorm


@contextlib.contextmanager
def synced(model: nn.Module, processes: int) -> Iterator[None]:
    """While active, batch norms in training mode take their statistics from the images of all processes."""
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)] if processes > 1 else []
    for norm in norms:
        norm.forward = partial(_forward, norm)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for norm in norms:
            del norm.forward


def _forward(norm: _BatchNorm, x: Tensor) -> Tensor:
    """Return what a batch norm makes of one process's part of a batch [n, c, ..]."""
    if not norm.training:
        return type(norm).forward(norm, x)
    dims, shape = [0, *range(2, x.dim())], [1, -1, *[1] * (x.dim() - 2)]
    count = _over_all(torch.tensor(float(x.numel() // x.shape[1]), device=x.device))
    mean = _over_all(x.sum(dims)) / count
    centred = x - mean.view(shape)
    variance = _over_all(centred.square().sum(dims)) / count
    if norm.running_mean is not None and norm.running_var is not None and norm.num_batches_tracked is not None:
        norm.num_batches_tracked.add_(1)
        share = 1 / int(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
        norm.running_mean.lerp_(mean.detach().to(norm.running_mean.dtype), share)
        norm.running_var.lerp_((variance.detach() * count / (count - 1)).to(norm.running_var.dtype), share)
    made = centred * torch.rsqrt(variance + norm.eps).view(shape)
    return made if norm.weight is None else made * norm.weight.view(shape) + norm.bias.view(shape)


def _over_all(part: Tensor) -> Tensor:
    """Return the sum over all processes; gradients go back through it to each."""
    found: Tensor = all_reduce(part)  # type: ignore[no-untyped-call]
    return found
