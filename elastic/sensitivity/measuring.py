"""Measuring: the loss of a network with one group narrower, for each group and several widths.

Molchanov et al. and many after them estimate what a layer can lose; here it is tried, as in Li et al., "Pruning Filters
for Efficient ConvNets", ICLR 2017, section 3.2: one layer narrowed, all others whole. The network is cut, not masked:
that is as exact and takes less time the narrower it gets. No labels: what is measured is how far the outputs go from
those of the whole network.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from elastic import fingerprints
from elastic.allocation.ordering import Scores, check_scores
from elastic.cutting import cut
from elastic.errors import DataError, TargetError
from elastic.fitting import fitted
from elastic.importance.batches import Batch, Batches, Loss, batches, joined, run
from elastic.modes import eval_mode
from elastic.plan import LevelArray, Plan
from elastic.recovery import repair
from elastic.sensitivity.curves import Curves, Header, Measured, curves_of
from elastic.sensitivity.keeping import Point, resumed

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]  # losses that are known, losses in all

WIDTHS = (0.75, 0.5, 0.25, 0.125)  # shares of a group; one unit is always measured too


def kl(outputs: Any, wanted: Any) -> Tensor:
    """Return the mean divergence of softmax over axis 1 from that of the whole network's, KL(whole || narrow), in nats.

    Logits are [samples, classes], or [samples, classes, positions...] with a mean over positions too.

    Raises DataError for anything else.
    """
    if not (isinstance(outputs, Tensor) and isinstance(wanted, Tensor) and outputs.dim() > 1):
        shape = list(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
        raise DataError(
            f"the loss kl needs logits [samples, classes, ...], the outputs are {shape}; give loss=function"
        )
    here, there = (F.log_softmax(logits.double(), 1) for logits in (outputs, wanted))
    return F.kl_div(here, there, reduction="none", log_target=True).sum(1).clamp_min(0).mean()


def measure_curves(
    model: nn.Module,
    plan: Plan,
    scores: Scores,
    data: Batches,
    *,
    widths: Sequence[float] = WIDTHS,
    loss: Loss = kl,
    recover: bool = False,
    criterion: str = "",
    path: str | Path | None = None,
    progress: Progress | None = None,
) -> Curves:
    """Return the loss of the model with one group narrower, for each group at each width; the model stays as it is.

    `widths` are shares of a group, rounded to units; one unit is always among them, so that no group is kept wide for
    want of a measurement. Within a group units leave by `scores` [units]. `data` are batches of inputs, with labels or
    without, that are held in memory. `loss` takes outputs and those of the whole model and gives the mean over a
    batch's samples, 0 where they are equal. With `recover` each narrowed network is repaired on the inputs, as by
    `elastic.recovery.repair`, before it is measured: much slower. `criterion` is a name to remember the scores by.

    With `path` each loss is written there at once. If the file exists, the losses in it are not measured again; they
    must be of the same weights, plan, scores, inputs, loss and widths. A loss that is no finite number is left out of
    the curve. Groups x widths x batches are run through the network.

    Raises CurvesMismatch if the file is of something else, FileFormatError if it is no such file, DataError if there
    are no data or outputs are not what the loss takes, TargetError for widths that are none.
    """
    samples = list(batches(data, model))
    known = check_scores(plan, scores)
    header = Header(
        weights=fingerprints.of_weights(model.state_dict()),
        plan=fingerprints.of_plan(plan),
        inputs=fingerprints.of_inputs(samples),
        samples=sum(batch.samples for batch in samples),
        criterion=criterion,
        loss=_name(loss),
        recover=recover,
        groups=tuple(_measured(group.name, len(group.units), widths) for group in plan.groups),
        scores=tuple(known.tolist()),
    )
    journal, found = (None, {}) if path is None else resumed(Path(path), header)
    bench = Bench(model, plan, known, samples, loss, recover)
    wanted = [(number, width) for number, group in enumerate(header.groups) for width in group.widths]
    for place in wanted:
        if place not in found:
            found[place] = _finite(bench.loss_at(*place), plan.groups[place[0]].name, place[1])
            if journal is not None:
                journal.append(Point(group=place[0], width=place[1], loss=found[place]))
            if progress is not None:
                progress(len(found), len(wanted))
    return curves_of(header, found)


def narrowed_to(share: float, units: int) -> int:
    """Return how many units a share of a group is, one at least."""
    return max(1, round(share * units))


@dataclass(frozen=True, eq=False)
class Bench:
    """What every measurement needs; the whole network is run only if there is one."""

    model: nn.Module
    plan: Plan
    scores: Scores  # [units]
    samples: Sequence[Batch]
    loss: Loss
    recover: bool

    def loss_at(self, group: int, width: int) -> float:
        """Return the mean loss of the network with one group narrowed to so many units, all others whole."""
        levels = np.zeros(self.plan.units, np.uint8)
        units = self.plan.groups[group].units
        levels[units[np.argsort(self.scores[units], kind="stable")][: len(units) - width]] = 1
        return self._loss_of(self._network(levels))

    @cached_property
    def wanted(self) -> list[Any]:
        """What the whole network makes of each batch."""
        with eval_mode(self.model), torch.no_grad():
            return [run(self.model, batch.inputs) for batch in self.samples]

    def _network(self, levels: LevelArray) -> nn.Module:
        state = cut(self.model.state_dict(), self.plan, levels, 0)
        network = fitted(self.model, state, self.plan.sizes(levels, 0)).eval()
        if self.recover:
            repair(network, self.model, self.plan, levels, self._inputs)
        return network

    @cached_property
    def _inputs(self) -> Tensor:
        return joined(self.samples)

    @torch.no_grad()
    def _loss_of(self, network: nn.Module) -> float:
        total = 0.0
        for batch, wanted in zip(self.samples, self.wanted, strict=True):
            found = torch.as_tensor(self.loss(run(network, batch.inputs), wanted))
            if found.numel() != 1:
                raise DataError(f"loss gave a tensor of shape {list(found.shape)}; it should give one number")
            total += float(found) * batch.samples
        return total / sum(batch.samples for batch in self.samples)


def _name(loss: Loss) -> str:
    if loss is kl:
        return "kl"
    return f"{getattr(loss, '__module__', '')}.{getattr(loss, '__qualname__', type(loss).__name__)}"


def _measured(name: str, units: int, shares: Sequence[float]) -> Measured:
    for share in shares:
        if not 0 < share < 1:
            raise TargetError(f"{share} is no width to measure; give shares of a group, above 0 and below 1")
    kept = {1, *(narrowed_to(share, units) for share in shares)} - {units}
    return Measured(name=name, units=units, widths=tuple(sorted(kept, reverse=True)))


def _finite(loss: float, name: str, width: int) -> float | None:
    if np.isfinite(loss):
        return loss
    log.warning("the loss of %s at %d units is %s, and is left out", name, width, loss)
    return None
