"""Stages: each aim in turn, from the largest network to the smallest: rounds, settled at the aim, cut, tuned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from elastic.attending.attended import Attended
from elastic.attending.leaving import Leaving
from elastic.attending.rounds import Round, Rounds
from elastic.gates.channels.aims import Aim
from elastic.gates.channels.finishing import BATCH, Accuracies, Measure, Trained, finished
from elastic.gates.channels.levelling import closing_stages
from elastic.gates.channels.settling import settled
from elastic.plan import BoolArray
from elastic.quantise import aligned, plan_of, unquantised
from elastic.quantise.quantising import Rounding
from elastic.recipes import Recipe
from elastic.training import Epoch

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Stage:
    """What one aim came to. Costs are shares of the whole network's, accuracies in percent."""

    aim: Aim
    values: FloatArray  # [units], attention as learned: zeros are closed
    lived: FloatArray  # [units], 0 to 1: below a half the closed, in the order of closing; above it by attention
    stays: BoolArray  # [units], once settled
    changed: int  # units that were settled otherwise than their attention says
    costs: Mapping[str, float]  # attended (what was open), settled
    rounds: tuple[Round, ...]
    tuning: tuple[Epoch, ...]
    network: nn.Module  # cut, recovered, and tuned
    top1: Mapping[str, float]  # attended, settled, cut, recovered, tuned; empty if nothing was measured
    bits: str = ""  # of the network; none for floats
    others: tuple["Other", ...] = ()  # the same channels in other bits

    @property
    def in_all_bits(self) -> tuple["Stage | Other", ...]:
        """Itself, and the others."""
        return (self, *self.others)


@dataclass(frozen=True, eq=False)
class Other:
    """The network of a stage in other bits, made of the one that is done."""

    aim: Aim
    stays: BoolArray
    lived: FloatArray
    bits: str
    network: nn.Module
    tuning: tuple[Epoch, ...]
    top1: Mapping[str, float]  # calibrated, tuned


def made_by(stages: Sequence[Stage]) -> tuple[Stage | Other, ...]:
    """Return what is a level each: of each stage that closed a unit its networks in all bits, from the largest on.

    Raises InvalidRecipe if there are none.
    """
    return tuple(each for stage in closing_stages(stages) for each in stage.in_all_bits)


@dataclass(frozen=True, eq=False)
class Stages:
    """What all stages have in common."""

    model: nn.Module  # what is cut
    rounds: Rounds
    fine_tune: Recipe | None
    images: Tensor  # for calibration
    recover: bool
    measure: Measure | None
    others: Sequence[Rounding] = ()  # other bits than those of the rounds

    def run(self, attended: Attended, aim: Aim, leaving: Leaving | None) -> Stage:
        """Change the network to what the aim makes of it, with settled attention; cut it, and tune what is left."""
        common, found = self.rounds, Accuracies(self.measure)
        rounds = common.run(attended, aim, leaving)
        found.add("attended", attended)
        values, lived, cost = _array(attended.attention.values), _lived(attended), common.cost(attended)
        stays = self._settled(aim, values)
        settle(attended, stays)
        found.add("settled", attended)
        tune = (
            None if self.fine_tune is None else partial(self._tune, self.fine_tune, f"{aim.name}, cut", self.rounding)
        )
        network, tuning = finished(
            self.model, attended.absorbed(), common.plan, stays, found, tune=tune, trained=self._trained(attended),
            calibration=self.images if self.recover else None,
        )  # fmt: skip
        costs = {"attended": cost, "settled": common.cost(attended)}
        changed = int((stays != (values > 0)).sum())
        others = tuple(self._other(aim, stays, lived, network, rounding) for rounding in self.others)
        bits = "" if self.rounding is None else str(self.rounding.bits)
        return Stage(aim, values, lived, stays, changed, costs, rounds, tuning, network, found.top1, bits, others)

    @property
    def rounding(self) -> Rounding | None:
        """What rounds in the rounds, and in the networks that these make."""
        return self.rounds.rounding

    def _trained(self, attended: Attended) -> Trained | None:
        rounding = self.rounding
        if rounding is None:
            return None
        plan = plan_of(self.rounds.plan, attended.network)
        return Trained(attended.network, plan, rounding.network, partial(aligned, example=self.images[:1]))

    def _tune(self, recipe: Recipe, name: str, rounding: Rounding | None, network: nn.Module) -> tuple[Epoch, ...]:
        hook = None if rounding is None else rounding.hook(network)
        return self.rounds.trainings.train(network, self.rounds.dataset, recipe, name, hook=hook)

    def _other(self, aim: Aim, stays: BoolArray, lived: FloatArray, network: nn.Module, rounding: Rounding) -> Other:
        """Return the network in other bits: of weights that are not rounded any more, calibrated, and tuned."""
        found, bits = Accuracies(self.measure), str(rounding.bits)
        other = rounding.network(unquantised(network), torch.split(self.images, BATCH))
        other = aligned(other, self.images[:1])
        found.add("calibrated", other)
        tuning: tuple[Epoch, ...] = ()
        if self.fine_tune is not None:
            tuning = self._tune(self.fine_tune, f"{aim.name}-{bits}, cut", rounding, other)
            other = aligned(other, self.images[:1])
            found.add("tuned", other)
        return Other(aim, stays, lived, bits, other, tuning, found.top1)

    def _settled(self, aim: Aim, values: FloatArray) -> BoolArray:
        """Return which units stay, [units]: at the target, exactly; without one, what is open."""
        is_open = values > 0
        if aim.target is None:
            return is_open
        stays = settled(self.rounds.plan, values, aim.name, self.rounds.bounds)
        # A closed unit would come back where there is room for no other; a multiple of channels may need it.
        return stays if self.rounds.bounds["round_to"] > 1 else stays & is_open


@torch.no_grad()
def settle(attended: Attended, stays: BoolArray) -> None:
    """Change attention to be exactly zero where units do not stay, and above zero elsewhere."""
    values = attended.attention.values
    is_open = torch.from_numpy(stays).to(values.device)
    values.copy_(torch.where(is_open, torch.where(values > 0, values, 1.0), 0.0))


def _lived(attended: Attended) -> FloatArray:
    """Return, 0 to 1, how long units were open, and of those that still are, how much attention they have."""
    values, steps = _array(attended.attention.values), _array(attended.attention.lived)
    above = 0.5 + 0.5 * values / values.max()
    found: FloatArray = np.where(values > 0, above, 0.5 * steps / (1 + steps.max()))
    return found


def _array(tensor: Tensor) -> FloatArray:
    found: FloatArray = tensor.detach().double().cpu().numpy()
    return found
