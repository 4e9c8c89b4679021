"""Vmapped: per-sample gradients of the whole network at once, for weights that no closed form is known for."""

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.utils._pytree import tree_flatten, tree_unflatten

from elastic.errors import DataError
from elastic.importance.batches import Batch, Loss, arguments_of

AT_ONCE = 1 << 27  # elements of per-sample gradients in memory: half a gigabyte of float32


def vmapped_squares(
    model: nn.Module, weights: Mapping[str, nn.Parameter], batch: Batch, loss: Loss
) -> dict[str, Tensor]:
    """Return the sum over samples of the square of the gradient of each sample's loss, float64, by name.

    Raises DataError for a network that `torch.func.vmap` can't follow.
    """
    leaves, structure = tree_flatten((batch.inputs, batch.labels))
    has_samples = [isinstance(leaf, Tensor) and leaf.dim() > 0 and len(leaf) == batch.samples for leaf in leaves]

    def loss_of_one(own: dict[str, Tensor], *one: Any) -> Tensor:
        whole = [leaf.unsqueeze(0) if has else leaf for leaf, has in zip(one, has_samples, strict=True)]
        inputs, labels = tree_unflatten(whole, structure)
        return loss(functional_call(model, own, *arguments_of(inputs)), labels)

    own = {name: weight.detach() for name, weight in weights.items()}
    totals = {name: torch.zeros_like(weight, dtype=torch.float64) for name, weight in own.items()}
    gradients = vmap(grad(loss_of_one), (None, *(0 if has else None for has in has_samples)))
    step = max(1, AT_ONCE // sum(weight.numel() for weight in own.values()))
    try:
        for start in range(0, batch.samples, step):
            some = [leaf[start : start + step] if has else leaf for leaf, has in zip(leaves, has_samples, strict=True)]
            with warnings.catch_warnings():  # an operation without a batching rule is slower, and right
                warnings.filterwarnings("ignore", message="There is a performance drop")
                found = gradients(own, *some)
            for name, each in found.items():
                totals[name] += each.double().square().sum(0)
    except RuntimeError as reason:
        first = next(iter(str(reason).splitlines()), "")
        raise DataError(
            f"gradients of single samples can't be taken in one go for {', '.join(own)} ({first}); give batches of "
            f"one sample"
        ) from reason
    return totals
