"""Per-sample gradients, squared and summed over all samples: one backward pass a batch, never one a sample.

The backward pass stops at the layers' outputs; closed forms make a gradient for each sample of what each layer was
called on. A weight that is used in another way (a scale that is multiplied, attention's packed projections, a
transposed convolution) gets its gradients from the whole network under `torch.func.vmap`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from elastic.importance.batches import Batch, Batches, Loss, batches, run, undisturbed
from elastic.importance.calls import Call, Calls
from elastic.importance.closed_forms import has_closed_form, item_gradients
from elastic.importance.gradients import check_finite
from elastic.importance.informing import Guesses
from elastic.importance.layouts import Layout, layouts
from elastic.importance.vmapped import vmapped_squares

IN_CACHE = 1 << 20  # elements of per-sample gradients or unfolded inputs at a time; with 16 times as many, half as fast

Weights = Mapping[str, nn.Parameter]
Labeller = Callable[[Any], Any]  # outputs -> labels


@dataclass(frozen=True, eq=False)
class Use:
    """A call, and where its output is in autograd's graph: known even if a ReLU overwrites the output."""

    call: Call
    edge: GradientEdge


@dataclass(frozen=True, eq=False)
class Part:
    """What one use gives to the gradient of one weight."""

    call: Call
    role: str
    layout: Layout
    upstream: Tensor


@dataclass(frozen=True, eq=False)
class Step:
    """A batch that was run, what used weights meanwhile, and the layout of each use, None where it has none."""

    batch: Batch
    mean: Tensor  # loss
    uses: Sequence[Use]
    places: Sequence[Layout | None]
    strays: set[str]

    def without_closed_form(self, weights: Weights) -> dict[str, nn.Parameter]:
        """Return the weights of which at least one use has no closed form, or is not seen at all."""
        left = self.strays | (set(weights) - {name for use in self.uses for name in use.call.names.values()})
        for use, layout in zip(self.uses, self.places, strict=True):
            if layout is None or not has_closed_form(use.call, layout.axis):
                left |= set(use.call.names.values())
        return {name: weight for name, weight in weights.items() if name in left}


def mean_squared_gradients(
    model: nn.Module, weights: Weights, data: Batches, loss: Loss, *, labeller: Labeller | None = None
) -> dict[str, Tensor]:
    """Return the mean of g^2 over all samples of all batches, g a sample's own gradient; float64, by name.

    `loss` is the mean over a batch's samples. With a `labeller` the data need no labels: it makes them of the outputs.

    Raises DataError, naming the tensor, if a gradient is not finite.
    """
    totals = {name: torch.zeros_like(weight, dtype=torch.float64) for name, weight in weights.items()}
    samples, guesses = 0, Guesses()
    known: Sequence[Layout | None] = ()
    with undisturbed(model, gradients=True):
        for batch in batches(data, model, labelled=labeller is None):
            outputs, uses, strays = _watched(model, weights, batch)
            if labeller is None:
                guesses.add(outputs, batch.labels)
            else:
                batch = replace(batch, labels=labeller(outputs))
            if len(known) != len(uses) and batch.samples > 1:
                known = layouts(model, weights, batch)
            here = _layouts_here(uses, known, batch.samples)
            step = Step(batch, loss(outputs, batch.labels), uses, here, strays)
            for name, square in _squares(model, weights, loss, step).items():
                totals[name] += square
            samples += batch.samples
    check_finite(totals)
    guesses.warn_if_by_chance()
    return {name: total / samples for name, total in totals.items()}


def _watched(model: nn.Module, weights: Weights, batch: Batch) -> tuple[Any, list[Use], set[str]]:
    uses: list[Use] = []

    def keep(call: Call) -> None:
        uses.append(Use(replace(call, output=call.output.detach()), get_gradient_edge(call.output)))

    with Calls(weights, keep) as calls:
        outputs = run(model, batch.inputs)
    return outputs, uses, calls.strays


def _layouts_here(uses: Sequence[Use], known: Sequence[Layout | None], samples: int) -> list[Layout | None]:
    """Return the layouts that hold for this batch; a lone sample is whatever there is."""
    if samples == 1:
        return [Layout(0, use.call.output.shape[0]) for use in uses]
    if len(known) != len(uses):
        return [None] * len(uses)
    return [
        layout if layout and use.call.output.shape[layout.axis] == layout.items * samples else None
        for use, layout in zip(uses, known, strict=True)
    ]


def _squares(model: nn.Module, weights: Weights, loss: Loss, step: Step) -> dict[str, Tensor]:
    """Return the sum of g^2 over the samples of a batch; names that the loss doesn't depend on are missing."""
    if not step.mean.requires_grad:
        return {}
    others, samples = step.without_closed_form(weights), step.batch.samples
    points: list[Any] = [*(use.edge for use in step.uses), *others.values()]
    found = torch.autograd.grad(step.mean, points, allow_unused=True)
    parts = _parts(step, found[: len(step.uses)], others)
    squares = {name: _summed_squares(own, weights[name], samples) for name, own in parts.items()}
    whole = {name: g for name, g in zip(others, found[len(step.uses) :], strict=True) if g is not None}
    if samples == 1 or not whole:
        return squares | {name: gradient.double().square() for name, gradient in whole.items()}
    return squares | vmapped_squares(model, {name: weights[name] for name in whole}, step.batch, loss)


def _parts(step: Step, upstreams: Sequence[Tensor | None], others: Weights) -> dict[str, list[Part]]:
    parts: dict[str, list[Part]] = {}
    for use, layout, upstream in zip(step.uses, step.places, upstreams, strict=True):
        for role, name in use.call.names.items():
            if name not in others and layout is not None and upstream is not None:
                parts.setdefault(name, []).append(Part(use.call, role, layout, upstream))
    return parts


@torch.no_grad()
def _summed_squares(parts: Sequence[Part], weight: Tensor, samples: int) -> Tensor:
    """Return the sum over samples of the square of what the parts give together."""
    total = torch.zeros_like(weight, dtype=torch.float64)
    step = max(1, IN_CACHE // max(_elements(part, weight, samples) for part in parts))
    for start in range(0, samples, step):
        stop = min(start + step, samples)
        each: Tensor | None = None
        for part in parts:
            some = slice(start * part.layout.items, stop * part.layout.items)
            inputs, upstream = (
                values.detach().movedim(part.layout.axis, 0)[some] for values in (part.call.input, part.upstream)
            )
            items = item_gradients(part.call, part.role, inputs, upstream * samples)  # undoes the division of the mean
            own = items.reshape(stop - start, -1, *weight.shape).sum(1) if part.layout.items > 1 else items
            each = own if each is None else each + own
        total += 0.0 if each is None else each.square().sum(0)
    return total


def _elements(part: Part, weight: Tensor, samples: int) -> int:
    """Return how many elements a sample takes at most: its items' gradients, or their unfolded inputs."""
    kernel = weight.shape[2:].numel() if weight.dim() > 2 else 1
    return max(1, weight.numel() * part.layout.items, part.call.input.numel() * kernel // samples)
