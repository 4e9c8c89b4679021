"""Energy: which share a channel has of what the layers that take it in make, measured where their outputs count.

Sun et al., "A Simple and Effective Pruning Approach for Large Language Models" (Wanda), ICLR 2024, arXiv:2306.11695,
section 3: |w| times the L2 norm of the input that it multiplies. Here squared, about the mean, for which a bias can
stand in, and summed over all the weights of a channel's consumers: w^2 Var[x] is the energy of what is lost, if
channels are uncorrelated. A layer's weights mean nothing alone where a norm or a scale follows, and little where much
else is added; so the energy is taken behind these, at the sum that the layer's output goes into, as a share of that
sum's. Producers don't count.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from elastic.attention import set_all_free
from elastic.importance.batches import Batch, Batches, batches, run, undisturbed
from elastic.importance.reduction import Reduction, reduce_along_axes
from elastic.importance.seam import Scores
from elastic.importance.standing import stand_in, units_on
from elastic.plan import Axis, Plan
from elastic.watching import Call, Site, Watch, find_sites, rows
from elastic.watching.sites import by_end, undone


@dataclass(frozen=True, eq=False)
class Energy:
    """Score = sum of w^2 Var[x] over the consumers' weights of a unit, each as a share of the sum's energy.

    Consumers are convolutions and linear layers; where none is seen units stand as `standing.py` says.
    """

    data: Batches
    reduction: Reduction = "sum"

    @torch.no_grad()
    def __call__(self, model: nn.Module, plan: Plan) -> Scores:
        """Return one score for each unit, [units]. Labels are not looked at."""
        seen = copy.deepcopy(model)
        set_all_free(seen)  # so that their layers are seen
        meter: _Meter | None = None
        with undisturbed(seen, gradients=False):
            for batch in batches(self.data, seen):
                if meter is None:
                    some = _some(batch)
                    meter = _Meter(find_sites(seen, lambda some=some: run(seen, some), repeated=True))  # type: ignore[misc]
                with Watch(meter.answer):
                    run(seen, batch.inputs)
        along, counts = dict[Axis, Tensor](), dict[Axis, int]()
        for weight, share in meter.shares(self.reduction) if meter else ():
            axis = (plan.aliases.get(weight, weight), 1)
            if axis in plan.axes:
                along[axis] = along.get(axis, 0.0) + share.sum  # a layer that runs twice takes in twice
                counts[axis] = share.elements
        scores = reduce_along_axes(along, plan, self.reduction, counts)
        return stand_in(scores, units_on(list(along), plan), model, plan)


@dataclass(frozen=True, eq=False)
class _Share:
    """The sum over, or greatest of, the elements of each input channel of a weight, and how many there are of each."""

    sum: Tensor  # [channels]
    elements: int


@dataclass(eq=False)
class _Layer:
    """What is known of a layer: sums over all batches."""

    site: Site
    weight: Tensor | None = None
    out_dim: int = 1
    first: Tensor = field(default_factory=lambda: torch.zeros(()))  # x, [groups, channels of a group]
    second: Tensor = field(default_factory=lambda: torch.zeros(()))  # x^2
    places: int = 0
    gain: Tensor | None = None  # from the layer's output to the sum, [outputs]
    energy: float = 0.0
    ends: int = 0


class _Meter:
    def __init__(self, sites: Sequence[Site]) -> None:
        self.layers = {site.call: _Layer(site) for site in sites}
        self.ends = by_end(sites)
        self.between = {number for site in sites for number, _ in site.chain}
        self.calls: dict[int, Call] = {}

    def answer(self, call: Call) -> Any:
        if call.number in self.between:
            self.calls[call.number] = call
        if call.number in self.layers:
            self._take_in(self.layers[call.number], rows.layer_of(call))
        if call.number not in self.ends:
            return NotImplemented
        made: Tensor = call.run()
        for site in self.ends[call.number]:
            layer = self.layers[site.call]
            if layer.gain is None:
                layer.gain = self._gain(site, made)
            layer.energy += float(made.square().sum(dtype=torch.float64))
            layer.ends += made.numel() // len(layer.gain)
        return made

    def shares(self, reduction: Reduction) -> list[tuple[str, _Share]]:
        """Return, for each layer that ran, the share of the sum's energy that its input channels have."""
        found = []
        for layer in self.layers.values():
            if layer.weight is None or layer.gain is None or not layer.energy:
                continue
            mean = layer.first / layer.places  # [groups, channels of a group]
            variance = (layer.second / layer.places - mean.square()).clamp_min(0)
            outputs = len(layer.weight) // len(variance)
            weight = layer.weight.double().reshape(len(variance), outputs, layer.weight.shape[1], -1)
            squares = (weight * layer.gain.view(len(variance), outputs, 1, 1)).square() * variance[:, None, :, None]
            squares = squares.movedim(2, 0).flatten(1) * (layer.ends / layer.energy)  # [channels, elements of each]
            total = squares.amax(1) if reduction == "max" else squares.sum(1)
            found.append((layer.site.weight, _Share(total, squares.shape[1])))
        return found

    def _take_in(self, known: _Layer, layer: rows.Layer) -> None:
        values = layer.x.movedim(layer.out_dim, -1).flatten(0, -2)  # [places, channels]
        known.weight, known.out_dim = layer.weight, layer.out_dim
        known.first = known.first + values.sum(0, dtype=torch.float64).view(layer.groups, -1)
        known.second = known.second + values.square().sum(0, dtype=torch.float64).view(layer.groups, -1)
        known.places += len(values)

    def _gain(self, site: Site, made: Tensor) -> Tensor:
        back = torch.ones_like(made)
        for number, side in reversed(site.chain):
            back = undone(self.calls[number], side, back)
        return 1 / back.movedim(self.layers[site.call].out_dim, 0).flatten(1)[:, 0].double()  # constant along all else


def _some(batch: Batch) -> object:
    """Return the first two samples of a batch's inputs."""
    return tree_map_only(
        Tensor, lambda each: each[:2] if each.dim() and len(each) == batch.samples else each, batch.inputs
    )
