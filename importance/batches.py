"""Batches: what a criterion takes as data, and how a model is run on it.

Data are anything that can be gone through again and again: a loader, a list. A batch is inputs alone, or a pair
(inputs, labels); inputs are what the model is called with: a tensor, a tuple of them, a dictionary by name.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._pytree import tree_leaves, tree_map_only

from elastic.errors import DataError
from elastic.modes import eval_mode
from elastic.precision import dtype_of

Batches = Iterable[Any]
Loss = Callable[[Any, Any], Tensor]  # (outputs, labels) -> mean over the samples of a batch


def cross_entropy(outputs: Any, labels: Any) -> Tensor:
    """Return the mean cross-entropy of logits [n, classes] in nats: the loss where no other is given."""
    return F.cross_entropy(outputs, labels)


@dataclass(frozen=True, eq=False)
class Batch:
    """Inputs, their labels (None where there are none), and how many samples they are."""

    inputs: Any
    labels: Any
    samples: int


def batches(data: Batches, model: nn.Module, *, labelled: bool = False) -> Iterator[Batch]:
    """Yield the batches on the device of the model, inputs in its precision.

    Raises DataError if there are none, if data can be gone through only once, or if labels are asked for and missing.
    """
    if iter(data) is data:
        raise DataError(f"data are a {type(data).__name__}, which is used up in one go; give a list or a loader")
    dtype = dtype_of(model)
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    number = -1
    for number, given in enumerate(data):
        inputs, labels = _taken_apart(given)
        if labelled and labels is None:
            raise DataError(f"batch {number} has no labels; give pairs (inputs, labels)")
        inputs, labels = tree_map_only(Tensor, lambda tensor: tensor.to(device), (inputs, labels))
        inputs = tree_map_only(
            Tensor, lambda tensor: tensor.to(dtype) if tensor.is_floating_point() else tensor, inputs
        )
        sized = [tensor for tensor in tree_leaves(inputs) if isinstance(tensor, Tensor) and tensor.dim()]
        if not sized:
            raise DataError(f"batch {number} has no tensor [samples, ...] to run the network on")
        yield Batch(inputs, labels, len(sized[0]))
    if number < 0:
        raise DataError("the data hold not one batch; give some")


def joined(found: Iterable[Batch]) -> Tensor:
    """Return the inputs of batches as one tensor, [N, ..].

    Raises DataError if an input isn't one tensor.
    """
    parts = [batch.inputs for batch in found]
    if not all(isinstance(part, Tensor) for part in parts):
        raise DataError("a repair takes batches of one tensor each, with labels or without; these have several inputs")
    return torch.cat(parts)


def arguments_of(inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return a batch's inputs as the arguments that the model is called with, by position and by name."""
    if isinstance(inputs, Mapping):
        return (), dict(inputs)
    return (tuple(inputs), {}) if isinstance(inputs, tuple | list) else ((inputs,), {})


def run(model: nn.Module, inputs: Any) -> Any:
    """Return what the model makes of a batch's inputs."""
    args, kwargs = arguments_of(inputs)
    return model(*args, **kwargs)


@contextlib.contextmanager
def undisturbed(model: nn.Module, *, gradients: bool) -> Iterator[None]:
    """Put the model in eval mode for a while, with gradients for every weight or for none; it gets back what it had.

    That is the mode of each module, the flag of each parameter, and the bits of each buffer. `grad` is not touched.
    """
    flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    buffers = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    try:
        for parameter, _ in flags:
            if parameter.is_floating_point():
                parameter.requires_grad_(gradients)
        with (
            eval_mode(model),
            torch.inference_mode(False),
            torch.set_grad_enabled(gradients),
            sdpa_kernel(SDPBackend.MATH),  # the only kernel of attention with second derivatives and batching rules
        ):
            yield
    finally:
        for parameter, flag in flags:
            parameter.requires_grad_(flag)
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)


def _taken_apart(given: Any) -> tuple[Any, Any]:
    if isinstance(given, tuple | list):
        if len(given) == 1:  # a loader of one tensor
            return given[0], None
        if len(given) == 2:
            return given[0], given[1]
        raise DataError(f"a batch of {len(given)} things; give (inputs, labels), with several inputs as a tuple")
    return given, None
