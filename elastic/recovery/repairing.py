"""Repair: fit each layer of a network that was cut so that it makes what the whole network makes.

Layer by layer in forward order, in one pass: both networks run in step, and where a layer's output is needed (at the
sum that it goes into, so that residual streams are matched and not only branches) its weights are solved for, given
what the layers before it, fitted already, make. No labels, no gradients. As He et al., "Channel Pruning for
Accelerating Very Deep Neural Networks", ICCV 2017, section 3.1, equation 4, with the channels given, all errors of
earlier layers taken in (their 3.2) and the weights pulled towards those that were trained.
"""

import copy
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from elastic.attention import can_be_free, set_free
from elastic.errors import DataError
from elastic.modes import eval_mode
from elastic.plan import IntArray, LevelArray, Plan
from elastic.recovery import rows
from elastic.recovery.calls import Call, Watch
from elastic.recovery.companion import Companion
from elastic.recovery.memory import images_that_fit
from elastic.recovery.ridge import Step, solve
from elastic.recovery.sites import Site, find_sites, undone

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]  # layers that are done, layers in all

CHUNK = 8_192  # positions that are read at once
PRODUCTS = 1.5e11  # of rows, by columns squared: a wider layer is fitted on fewer positions
LEAST = 8  # positions for each column, though


@dataclass(frozen=True)
class Fit:
    """How far a layer was from what is wanted, before and after: squared errors as shares of what is wanted."""

    weight: str
    before: float
    after: float


@dataclass(frozen=True)
class Repair:
    """What was done: the layers that were fitted, in order, and on how many images."""

    fits: tuple[Fit, ...]
    images: int


def repair(
    model: nn.Module,
    whole: nn.Module,
    plan: Plan,
    levels: LevelArray,
    inputs: Tensor,
    *,
    level: int = 0,
    strength: float = 1e-3,
    positions: int = 131_072,
    seed: int = 0,
    memory: int | None = None,
    progress: Progress | None = None,
) -> Repair:
    """Change the weights of a level's network so that its layers make what those of the whole network do.

    `inputs` [N, ..]: images without labels. Both networks hold what is alive of them; where that would be more than
    `memory` bytes (by default half of what is free) fewer are used. `strength` is that of the ridge. Of each layer's
    output at most so many `positions` are used, fewer of a wide layer, drawn with `seed`. Convolutions and linear
    layers that run once are fitted, with the constant in their bias or in the mean of the norm that follows; all else
    stays, and so do layers whose inputs and outputs are what they were, bit for bit.

    Raises DataError if the network doesn't run on the inputs, or not even one of them fits.
    """
    whole = copy.deepcopy(whole).requires_grad_(False)
    for module in whole.modules():
        if can_be_free(module):
            set_free(module)  # so that both networks make the same calls
    kept = {
        name: {axis: np.flatnonzero(found <= level) for axis, found in axes.items()}
        for name, axes in plan.position_levels(levels).items()
    }
    some = inputs[:2]
    with eval_mode(model), eval_mode(whole), torch.no_grad():
        try:
            sites = find_sites(model, lambda: model(some))
        except (RuntimeError, ValueError, TypeError) as reason:
            raise DataError(f"the network can't be run on inputs of {list(inputs.shape)}: {reason}") from reason
        if (fitting := images_that_fit(whole, model, inputs, memory)) < 1:
            shape = list(inputs.shape[1:])
            raise DataError(f"not even one input of {shape} fits in memory; give more (memory=), or smaller inputs")
        if fitting < len(inputs):
            log.warning("%d of %d images are used: more do not fit in memory", fitting, len(inputs))
            inputs = inputs[:fitting]
        wanted = Companion(lambda: whole(inputs), {site.at for site in sites})
        generator = torch.Generator().manual_seed(seed)
        pass_ = _Pass(model, sites, kept, wanted, strength, positions, generator, progress)
        try:
            with Watch(pass_.answer):
                model(inputs)
        finally:
            wanted.close()
    return Repair(tuple(pass_.fits), len(inputs))


@dataclass(eq=False)
class _Pass:
    """One pass of the cut network, in which layers change before what they make is used."""

    model: nn.Module
    sites: list[Site]
    kept: Mapping[str, Mapping[int, IntArray]]
    wanted: Companion
    strength: float
    positions: int
    generator: torch.Generator
    progress: Progress | None
    fits: list[Fit] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tensors: dict[str, Tensor] = dict([*self.model.named_parameters(), *self.model.named_buffers()])
        self.ends: dict[int, list[Site]] = {}
        for site in self.sites:
            self.ends.setdefault(site.at, []).append(site)
        summed = [site for site in self.sites if site.total is not None]
        self.awaited = {site.call for site in summed} | {number for site in summed for number, _ in site.chain}
        self.calls: dict[int, Call] = {}  # of layers whose sum is still to come, and those between
        self.done = 0

    def answer(self, call: Call) -> Any:
        """Return what a call makes, once the layers that it ends are fitted."""
        if call.number in self.awaited:
            self.calls[call.number] = call
        sites = self.ends.get(call.number)
        if sites is None:
            return None
        made = self._fit_alone(sites[0], call) if sites[0].total is None else self._fit_sum(sites, call)
        self.done += len(sites)
        if self.progress is not None:
            self.progress(self.done, len(self.sites))
        return made

    def _fit_alone(self, site: Site, call: Call) -> Tensor:
        made: Tensor = call.run()
        wanted = self._kept_of(self.wanted.next(), made, site)
        if wanted is not None and self._fit(site, call, made, wanted - made):
            made = call.run()
        return made

    def _fit_sum(self, sites: list[Site], call: Call) -> Tensor:
        whole, operands = self.wanted.next(), list(call.args[:2])
        # The layer with the most weights first: what it can't reach is left for the other.
        for site in sorted(sites, key=lambda site: -rows.layer_of(self.calls[site.call]).columns):
            total = operands[0] + operands[1]
            layer = self.calls.pop(site.call)
            between = [(self.calls.pop(number), side) for number, side in site.chain]
            wanted = self._kept_of(whole, total, site)
            if wanted is None:
                continue
            error = wanted - total
            for each, side in reversed(between):
                error = undone(each, side, error)
            if self._fit(site, layer, layer.run(), error):
                made = layer.run()
                for each, side in between:
                    made = each.run({side: made})
                operands[site.side] = made
        result: Tensor = call.run(dict(enumerate(operands)))
        return result

    def _fit(self, site: Site, call: Call, made: Tensor, error: Tensor) -> bool:
        """Change the weights of a layer by what its error asks for; return whether they had to."""
        layer = rows.layer_of(call)
        if not (error.any() and error.isfinite().all()):  # a channel whose norm has no gain can't be reached
            return False
        enough = max(LEAST * layer.columns, int(PRODUCTS / layer.columns**2))
        index = rows.choose(made, layer, min(self.positions, enough), self.generator)
        step = solve(_chunks(layer, error, index), strength=self.strength, constant=site.shift is not None)
        energy = float(rows.at(made + error, layer, index).square().sum(dtype=torch.float64)) or 1.0
        self.fits.append(Fit(site.weight, step.before / energy, step.after / energy))
        self._take(site, layer, step)
        return True

    def _take(self, site: Site, layer: rows.Layer, step: Step) -> None:
        layer.weight.add_(step.weights.mT.reshape(layer.weight.shape))
        if site.shift is not None:
            self.tensors[site.shift].add_(step.constant.reshape(-1), alpha=-1 if site.is_mean else 1)

    def _kept_of(self, whole: Tensor, cut: Tensor, site: Site) -> Tensor | None:
        """Return the channels that the cut network has of a tensor; None where shapes don't tell which they are."""
        differ = [dim for dim, (a, b) in enumerate(zip(whole.shape, cut.shape, strict=True)) if a != b]
        if not differ:
            return whole
        kept = self.kept.get(site.weight, {}).get(0)
        if len(differ) > 1 or kept is None or len(kept) != cut.shape[differ[0]]:
            return None
        return whole.index_select(differ[0], torch.from_numpy(kept))


def _chunks(layer: rows.Layer, error: Tensor, index: rows.Index) -> Iterator[tuple[Tensor, Tensor]]:
    for first in range(0, len(index[0]), CHUNK):
        part = tuple(places[first : first + CHUNK] for places in index)
        yield rows.read(layer, part), rows.at(error, layer, part)
