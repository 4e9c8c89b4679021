"""Curves: the losses that were measured, and what they were measured of. Only nouns.

A header says what was measured and how; with it, a loss is a number for a group and a width. Whatever decides a loss
is in the header, so that two headers that are equal belong to the same losses.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import nn

from elastic import fingerprints
from elastic.errors import CurvesMismatch
from elastic.plan import Plan

Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=1)]
Score = Annotated[float, Field(allow_inf_nan=False)]
Losses = Mapping[tuple[int, int], float | None]  # by the group's number and units kept; None is no finite number


class Measured(BaseModel):
    """One group, and the widths that it is measured at besides its whole one."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str
    units: Count
    widths: tuple[Count, ...]  # units kept, widest first

    @model_validator(mode="after")
    def _widths_fall(self) -> Self:
        if any(wider <= width for wider, width in zip((self.units, *self.widths), self.widths, strict=False)):
            raise ValueError(f"widths {list(self.widths)} of {self.units} units don't fall")
        return self


class Header(BaseModel):
    """What is measured, of what, and how."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal["elastic-curves"] = "elastic-curves"
    version: Literal[1] = 1
    weights: Digest
    plan: Digest
    inputs: Digest
    samples: Count
    criterion: str  # a name for people; what decides are the scores
    loss: str
    recover: bool
    groups: tuple[Measured, ...]
    scores: tuple[Score, ...]  # [units]; within a group the least leave first

    @model_validator(mode="after")
    def _one_score_for_each_unit(self) -> Self:
        if len(self.scores) != (units := sum(group.units for group in self.groups)):
            raise ValueError(f"{len(self.scores)} scores for {units} units")
        return self


@dataclass(frozen=True, eq=False)
class Curves:
    """For each group the loss of the network by the units that are kept of it, the whole width with 0 among them.

    What `allocate_by_curves` takes is `losses` with `scores`.
    """

    header: Header
    losses: tuple[Mapping[int, float], ...]  # in the order of the plan's groups

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the groups."""
        return tuple(group.name for group in self.header.groups)

    @cached_property
    def scores(self) -> npt.NDArray[np.float64]:
        """The scores by which units left while it was measured, [units]."""
        return np.array(self.header.scores)

    def check(self, model: nn.Module, plan: Plan) -> None:
        """Raise CurvesMismatch if these are the curves of another network, or of another plan of it."""
        if self.header.plan != fingerprints.of_plan(plan):
            raise CurvesMismatch(
                f"the curves are of {len(self.names)} groups with {len(self.scores)} units, the plan has "
                f"{len(plan.groups)} with {plan.units}, or ties them otherwise; freeze the same and use the same "
                "engine as when measuring, or measure anew"
            )
        if self.header.weights != (own := fingerprints.of_weights(model.state_dict())):
            raise CurvesMismatch(
                f"the curves are of weights {self.header.weights[:8]}, the model's are {own[:8]}; "
                "give the weights that were measured, or measure anew"
            )


def curves_of(header: Header, losses: Losses) -> Curves:
    """Return curves of every loss that is a finite number."""
    found = []
    for number, group in enumerate(header.groups):
        known = {width: losses[number, width] for width in group.widths}
        found.append({group.units: 0.0} | {width: loss for width, loss in known.items() if loss is not None})
    return Curves(header, tuple(found))
