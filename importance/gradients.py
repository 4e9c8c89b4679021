"""Gradients of the mean loss over all data, for every weight, frozen ones too."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from elastic.errors import DataError
from elastic.importance.batches import Batches, Loss, batches, run, undisturbed
from elastic.importance.informing import Guesses


def mean_gradients(
    model: nn.Module, weights: Mapping[str, nn.Parameter], data: Batches, loss: Loss
) -> dict[str, Tensor]:
    """Return the gradient of the mean loss over all samples of all batches, by name.

    Raises DataError, naming the tensor, if one is not finite.
    """
    totals = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    samples, guesses = 0, Guesses()
    with undisturbed(model, gradients=True):
        for batch in batches(data, model, labelled=True):
            outputs = run(model, batch.inputs)
            mean = loss(outputs, batch.labels)
            guesses.add(outputs, batch.labels)
            for total, found in zip(totals.values(), gradients_of(mean, list(weights.values())), strict=True):
                total.add_(found, alpha=batch.samples)
            samples += batch.samples
    check_finite(totals)
    guesses.warn_if_by_chance()
    return {name: total / samples for name, total in totals.items()}


def gradients_of(loss: Tensor, weights: list[nn.Parameter], *, create_graph: bool = False) -> list[Tensor]:
    """Return one gradient for each weight; zeros where the loss doesn't depend on it."""
    if not loss.requires_grad:
        return [torch.zeros_like(weight) for weight in weights]
    found = torch.autograd.grad(loss, weights, create_graph=create_graph, allow_unused=True)
    return [torch.zeros_like(w) if g is None else g for w, g in zip(weights, found, strict=True)]


def check_finite(values: Mapping[str, Tensor]) -> None:
    """Raise DataError, naming the tensor, if a gradient is not finite."""
    for name, value in values.items():
        if not value.isfinite().all():
            raise DataError(
                f"the gradient of {name} is not finite on these data: check them for values out of range, or score "
                f"in float64"
            )
