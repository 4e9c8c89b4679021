"""Alternating: how attention to channels and the weights are learned by turns, as plain data.

The default is not what was published: attention stands behind norms and begins by importance
(docs/attention-pruning.md).
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from elastic.errors import UnknownName
from elastic.settings import settings_of

Scale = Literal["rank", "value"]
Divisor = Literal["max", "percentile", "none"]
Return = Literal["best", "before"]


def _told(text: str, **bounds: Any) -> Any:
    return Field(description=text, allow_inf_nan=False, **bounds)


def _named(text: str) -> Any:
    return Field(description=text)


class Alternation(BaseModel):
    """All that decides how attention is learned, beside the recipe of the weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rounds: Annotated[int, Field(description="Rounds of attention and recovery at most, for each target.", ge=1)] = 8
    images: Annotated[float, _told("Share of the training images that attention is learned on.", gt=0, le=1)] = 1.0
    recovery: Annotated[int, Field(description="Epochs in which weights recover, at most, in each round.", ge=0)] = 6
    tolerance: Annotated[float, _told("Percent of held-out images below which accuracy is back.", ge=0)] = 0.5
    back_to: Annotated[Return, _named("The accuracy to come back to: best so far, or before the round.")] = "best"
    ramp: Annotated[float, _told("Share of the rounds in which the goal falls to the target.", ge=0, le=1)] = 0.75
    push: Annotated[float, _told("Factor of the strength for each round that missed its goal.", ge=1)] = 2.0
    start: Annotated[str, _named("Criterion by which attention begins, random among them.")] = "energy"
    mapping: Annotated[Scale, _named("What of a criterion begins: rank or value.")] = "rank"
    divisor: Annotated[Divisor, _named("What a group's attention is divided by: max, percentile or none.")] = "max"
    percentile: Annotated[float, _told("With a divisor of percentile: which.", gt=0, le=100)] = 90.0
    elastic_net: Annotated[float, _told("Strength of the elastic net (l_a), for each unit.", ge=0)] = 0.05
    sparse: Annotated[float, _told("Share of the elastic net that is |a|, the rest is a^2.", ge=0, le=1)] = 0.8
    weight_penalty: Annotated[float, _told("Strength of the weights' squares (l_w), beside their decay.", ge=0)] = 0.0
    travel: Annotated[float, _told("How far attention falls in an epoch if nothing holds it.", gt=0)] = 0.3
    rate: Annotated[float, _told("Learning rate of attention.", gt=0)] = 0.02
    train_weights: Annotated[bool, _named("Train the weights while attention is learned, or keep them.")] = False
    before_norm: Annotated[bool, _named("Attention multiplies filters before their norm, as published.")] = False


# As published, but for the target, the proximal step and the held-out images.
PUBLISHED = Alternation(start="random", before_norm=True, ramp=1.0, push=1.0)
PRESETS: dict[str, Alternation] = {"importance": Alternation(), "published": PUBLISHED}
DEFAULT = "importance"


def alternation_of(preset: str = DEFAULT, **options: Any) -> Alternation:
    """Return a preset with these options in place of its own.

    Raises UnknownName for another preset, InvalidRecipe for what is no option, or out of its range.
    """
    if preset not in PRESETS:
        raise UnknownName(f"unknown preset {preset!r}; known: {', '.join(PRESETS)}")
    return settings_of(Alternation, {**PRESETS[preset].model_dump(), **options}, "attention has")
