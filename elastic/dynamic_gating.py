"""Dynamic gating: how gates that each position of an input decides are learned, as plain data.

Channel gating: Hua et al., "Channel Gating Neural Networks", NeurIPS 2019. Precision gating: Zhang et al., "Precision
Gating", ICLR 2020. Presets called `published` have the values of the authors' code.
"""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from elastic.errors import UnknownName
from elastic.settings import settings_of

Granularity = Literal["pixel-channel", "pixel-block", "pixel", "channel"]
BasePath = Literal["first", "strongest", "groups"]
Norms = Literal["one", "two"]
Sides = Literal["auto", "one", "two"]
Steps = Literal["max", "learned"]
Clips = Literal["average", "pact", "learned"]


def _told(text: str, **bounds: Any) -> Any:
    return Field(description=text, allow_inf_nan=False, **bounds)


def _named(text: str, **bounds: Any) -> Any:
    return Field(description=text, **bounds)


class Deciding(BaseModel):
    """What all gates have that positions of an input decide."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layers: Annotated[tuple[str, ...], _named("Patterns of names; none: convolutions before an activation.")] = ()
    granularity: Annotated[Granularity, _named("What has a gate: pixel-channel, pixel-block, pixel or channel.")] = (
        "pixel-channel"
    )
    block: Annotated[int, _named("Channels that share a gate with pixel-block.", ge=1)] = 8
    slope: Annotated[float, _told("Slope of the sigmoid in place of a gate's step, backward.", gt=0)] = 2.0
    begin: Annotated[float, _told("Threshold of each channel at first.")] = 0.0
    target: Annotated[float, _told("Where the penalty draws thresholds.")] = 0.0
    strength: Annotated[float, _told("Strength of that penalty.", ge=0)] = 0.0
    sparse_back_propagation: Annotated[bool, _named("Gradients reach gates only where they are open.")] = False
    budget: Annotated[float | None, _told("Share of the cost that a controller comes to.", gt=0, le=1)] = None
    ramp: Annotated[float, _told("Share of the steps in which the goal falls to the budget.", ge=0, le=1)] = 0.5
    proportional: Annotated[float, _told("Strength of the price by the cost above the goal.", ge=0)] = 2.0
    integral: Annotated[float, _told("The same, added up over all steps.", ge=0)] = 10.0
    rate: Annotated[float, _told("Learning rate of thresholds, in learning rates of weights.", gt=0)] = 1.0


class ChannelGating(Deciding):
    """How convolutions decide where they read all of their channels."""

    parts: Annotated[int, _named("The base path reads one of so many parts of the channels (p).", ge=2)] = 4
    base: Annotated[
        BasePath,
        _named("What it reads: the first channels, the strongest ones, or a group for each part of the outputs."),
    ] = "first"
    shuffle: Annotated[bool, _named("Groups read channels in turns, not in runs.")] = False
    norms: Annotated[Norms, _named("Base sums have a norm of their own: two; else one.")] = "two"
    coarse: Annotated[float, _told("A channel with a smaller share of open pixels stays closed.", ge=0, le=1)] = 0.0
    sides: Annotated[Sides, _named("Gates close above a second threshold: two; auto: before bounded activations.")] = (
        "auto"
    )
    begin_above: Annotated[float, _told("The second threshold at first.")] = 2.0
    target_above: Annotated[float, _told("Where the penalty draws it.")] = 2.0


class PrecisionGating(Deciding):
    """How convolutions decide where they use all bits of their inputs."""

    slope: Annotated[float, _told("Slope of the sigmoid in place of a gate's step, backward.", gt=0)] = 5.0
    bits: Annotated[int, _named("Bits of inputs.", ge=2, le=8)] = 3
    prediction_bits: Annotated[int, _named("High bits that are always used.", ge=1, le=7)] = 2
    weight_bits: Annotated[int, _named("Bits of weights.", ge=2, le=8)] = 8
    steps: Annotated[Steps, _named("Steps of weights: max or learned.")] = "max"
    ranges: Annotated[Clips, _named("Ranges of inputs: average, pact or learned.")] = "learned"
    elsewhere: Annotated[str, _named("Bits of the layers without gates: W8A8, or float.")] = "float"
    price: Annotated[float, _told("Of PACT's clips, squared.", ge=0)] = 2e-4
    closed: Annotated[float | None, _told("Share of positions closed at first, in place of begin.", ge=0, le=1)] = 0.5


CHANNEL: dict[str, ChannelGating] = {
    "paper": ChannelGating(strength=1e-4, target=0.6),
    "published": ChannelGating(
        parts=2, base="groups", norms="one", sides="one", strength=1e-4, target=0.6, sparse_back_propagation=True
    ),
    "skipping": ChannelGating(granularity="pixel", budget=0.5),
}
PUBLISHED = PrecisionGating(
    ranges="pact", closed=None, begin=0.0, target=1.0, strength=1e-3, sparse_back_propagation=True
)
PRECISION: dict[str, PrecisionGating] = {
    "calibrated": PrecisionGating(budget=0.75),
    "published": PUBLISHED,
    "published-2-1": PUBLISHED.model_copy(update={"bits": 2, "prediction_bits": 1}),
    "skipping": PrecisionGating(granularity="pixel", budget=0.75),
}

Kind = TypeVar("Kind", ChannelGating, PrecisionGating)


def channel_gating_of(preset: str = "paper", **options: Any) -> ChannelGating:
    """Return a preset with these options in place of its own.

    Raises UnknownName for another preset, InvalidRecipe for what is no option, or out of its range.
    """
    return _of(ChannelGating, CHANNEL, preset, options)


def precision_gating_of(preset: str = "calibrated", **options: Any) -> PrecisionGating:
    """Return the same for precision gating."""
    return _of(PrecisionGating, PRECISION, preset, options)


def _of(kind: type[Kind], presets: dict[str, Kind], preset: str, options: dict[str, Any]) -> Kind:
    if preset not in presets:
        raise UnknownName(f"unknown preset {preset!r}; known: {', '.join(presets)}")
    return settings_of(kind, {**presets[preset].model_dump(), **options}, "dynamic gates have")
