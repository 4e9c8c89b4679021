"""Repair: fit each layer of a network that was cut so that it makes what the whole network makes.

Layer by layer in forward order, in one pass: both networks run in step, and where a layer's output is needed (at the
sum that it goes into, so that residual streams are matched and not only branches) its weights are solved for, given
what the layers before it, fitted already, make. No labels. As He et al., "Channel Pruning for Accelerating Very Deep
Neural Networks", ICCV 2017, section 3.1, equation 4, with the channels given, all errors of earlier layers taken in
(their 3.2) and the weights pulled towards those that were trained; and where one layer follows another, the first is
changed once more for what the second makes (`pairs.py`).
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from elastic.attention import set_all_free
from elastic.errors import DataError
from elastic.modes import eval_mode
from elastic.plain import check_plain
from elastic.plan import LevelArray, Plan
from elastic.recovery.companion import Companion
from elastic.recovery.fitting import Fit, Fitter
from elastic.recovery.memory import parts_that_fit
from elastic.recovery.passing import Pass
from elastic.watching.calls import Watch
from elastic.watching.sites import Site, find_sites

Progress = Callable[[int, int], None]  # layers that are done, layers in all
ROUNDS = 2


@dataclass(frozen=True)
class Repair:
    """What was done: the layers that were fitted, in order; the images, and in how many parts they were taken."""

    fits: tuple[Fit, ...]
    images: int
    parts: int


def repair(
    model: nn.Module,
    whole: nn.Module,
    plan: Plan,
    levels: LevelArray,
    inputs: Tensor,
    *,
    level: int = 0,
    rounds: int = ROUNDS,
    strength: float = 1e-3,
    positions: int = 131_072,
    seed: int = 0,
    memory: int | None = None,
    progress: Progress | None = None,
) -> Repair:
    """Change the weights of a level's network so that its layers make what those of the whole network do.

    `inputs` [N, ..]: images without labels. Convolutions and linear layers that run once are fitted by ridge regression
    of that `strength`, with the constant in their bias or in the mean of the norm that follows; then, where a layer's
    output goes to one other layer only, at most so many `rounds` of Gauss-Newton steps change it for what the other
    makes (0: closed forms alone). All else stays, and so do layers whose inputs and outputs are what they were, bit for
    bit. Of each layer's output at most so many `positions` are used, fewer of a wide layer, drawn with `seed`.

    Both networks hold what is alive of the images, and each layer products of what it reads while it is fitted. Where
    that would be more than `memory` bytes (by default half of what is free) the images are taken in parts, one after
    the other; products of all layers are kept from part to part.

    Raises LiveNetwork for one of `elastic.load`, DataError if the network doesn't run on the inputs, or one of them
    needs more than `memory`.
    """
    for network in (model, whole):
        check_plain(network)
    whole = copy.deepcopy(whole).requires_grad_(False)
    set_all_free(whole)  # so that both networks make the same calls
    kept = {
        name: {axis: np.flatnonzero(found <= level) for axis, found in axes.items()}
        for name, axes in plan.position_levels(levels).items()
    }
    with eval_mode(model), eval_mode(whole), torch.no_grad():
        sites, layout = _sites(model, inputs), _layout(model, inputs)
        parts = parts_that_fit(whole, model, inputs, memory)
        tensors = dict([*model.named_parameters(), *model.named_buffers()])
        fitter = Fitter(
            strength, -(-positions // len(parts)), rounds, torch.Generator().manual_seed(seed),
            shift=lambda name, constant: tensors[name].add_(constant), parts=len(parts),
        )  # fmt: skip
        report = _Count(len(sites) * len(parts), progress)
        for part in parts:
            part = part.contiguous(memory_format=layout)
            wanted = Companion(partial(whole, part), {site.at for site in sites})
            try:
                with Watch(Pass(sites, kept, wanted, fitter, report).answer):
                    model(part)
            finally:
                wanted.close()
            fitter.next_part()
    return Repair(tuple(fitter.fits.values()), len(inputs), len(parts))


def _sites(model: nn.Module, inputs: Tensor) -> list[Site]:
    some = inputs[:2]
    try:
        return find_sites(model, lambda: model(some))
    except (RuntimeError, ValueError, TypeError) as reason:
        raise DataError(f"the network can't be run on inputs of {list(inputs.shape)}: {reason}") from reason


def _layout(model: nn.Module, inputs: Tensor) -> torch.memory_format:
    """Return channels last in memory, with which convolutions are faster and rows are read faster, if that runs."""
    layout = {4: torch.channels_last, 5: torch.channels_last_3d}.get(inputs.dim(), torch.contiguous_format)
    try:
        model(inputs[:2].contiguous(memory_format=layout))
    except RuntimeError:  # a view that can't be made
        return torch.contiguous_format
    return layout


@dataclass
class _Count:
    total: int
    progress: Progress | None
    done: int = 0

    def __call__(self, more: int) -> None:
        self.done += more
        if self.progress is not None:
            self.progress(self.done, self.total)
