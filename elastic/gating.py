"""Gating: how gates are learned, as plain data, and the published settings by name.

The default is not the published one: gates that are drawn learn what a unit is worth, soft ones hardly do
(docs/gates.md).
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from elastic.errors import UnknownName
from elastic.settings import settings_of

NONE = "none"  # as a prior
ChannelOpening = Literal["sigmoid", "hard-concrete", "binary"]


def _told(text: str, **bounds: Any) -> Any:
    return Field(description=text, allow_inf_nan=False, **bounds)


class Gating(BaseModel):
    """All that decides how gates are learned, beside the recipe of the weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    opening: Annotated[ChannelOpening, Field(description="Of gates: sigmoid, hard-concrete or binary.")] = (
        "hard-concrete"
    )
    begin: Annotated[float, _told("Logit of each gate at first.", gt=0)] = 2.0
    prior: Annotated[str, Field(description="Criterion by which gates begin; none: all alike.")] = "energy"
    hottest: Annotated[float, _told("Temperature of gates in the first epoch.", gt=0)] = 2 / 3
    cooling: Annotated[float, _told("By what each epoch multiplies the temperature.", gt=0, le=1)] = 1.0
    coldest: Annotated[float, _told("The least temperature.", gt=0)] = 2 / 3
    travel: Annotated[float, _told("How far a logit comes if all steps go one way.", gt=0)] = 5.0
    ramp: Annotated[float, _told("Share of the steps in which the goal falls to the target.", ge=0, le=1)] = 0.5
    proportional: Annotated[float, _told("Strength by the cost above the goal.", ge=0)] = 60.0
    integral: Annotated[float, _told("The same, added up over all steps.", ge=0)] = 60.0
    draws: Annotated[int, Field(description="Parts of a batch, each with gates drawn for itself.", ge=1)] = 4
    train_weights: Annotated[bool, Field(description="Train the weights beside the gates, or keep them.")] = True
    polarisation: Annotated[float, _told("Strength of what drives gates away from their mean.", ge=0)] = 0.0


PRESETS: dict[str, Gating] = {
    "hard-concrete": Gating(),  # Louizos et al., ICLR 2018
    "binary": Gating(opening="binary", begin=1.5, hottest=1, cooling=0.7, coldest=0.2),
    # What was published as latency-aware gates: sigmoids of logits that begin at 2, T = max(0.5, 5 * 0.9^epoch).
    "lag": Gating(opening="sigmoid", begin=2, prior=NONE, hottest=5, cooling=0.9, coldest=0.5, draws=1),
}
DEFAULT = "hard-concrete"


def gating_of(preset: str = DEFAULT, **options: Any) -> Gating:
    """Return a preset with these options in place of its own.

    Raises UnknownName for another preset, InvalidRecipe for what is no option, or out of its range.
    """
    if preset not in PRESETS:
        raise UnknownName(f"unknown preset {preset!r}; known: {', '.join(PRESETS)}")
    return settings_of(Gating, {**PRESETS[preset].model_dump(), **options}, "gates have")
