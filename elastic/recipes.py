"""Recipes: how a network is trained, as plain data; checked when it is made, kept beside what was trained."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from elastic.settings import settings_of

Optimiser = Literal["sgd", "adamw"]
Schedule = Literal["one-cycle", "cosine", "step", "constant"]
Mix = Literal["mixup", "cutmix"]
Precision = Literal["float32", "bfloat16"]


def _told(text: str, **bounds: Any) -> Any:
    return Field(description=text, **bounds)


class Recipe(BaseModel):
    """All that decides what a training makes of a network, but the network, the images and the teacher."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: Annotated[int, _told("Times that all images are gone through.", ge=1)] = 30
    batch: Annotated[int, _told("Images of a step, of all processes together.", ge=2)] = 128
    optimiser: Annotated[Optimiser, _told("sgd, with Nesterov's momentum, or adamw.")] = "sgd"
    learning_rate: Annotated[float, _told("The greatest learning rate.", gt=0, allow_inf_nan=False)] = 0.1
    momentum: Annotated[float, _told("Momentum of SGD.", ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, _told("Decay of weights; norms and biases have none.", ge=0)] = 5e-4
    schedule: Annotated[Schedule, _told("Learning rates: one-cycle, cosine, step or constant.")] = "one-cycle"
    warm_up: Annotated[float, _told("Share of all steps in which the learning rate rises.", ge=0, lt=1)] = 0.3
    drops: Annotated[
        tuple[Annotated[float, Field(ge=0, le=1)], ...],
        _told("Shares of what follows the warm-up, at which `step` divides the learning rate by ten."),
    ] = (0.5, 0.75)
    label_smoothing: Annotated[float, _told("Share of a label that goes to all classes.", ge=0, lt=1)] = 0.1
    shift: Annotated[int, _told("Pixels by which an image is moved at most.", ge=0)] = 4
    mirror: Annotated[bool, _told("Mirror half of the images.")] = True
    mix: Annotated[Mix | None, _told("Mix each image with another: mixup or cutmix.")] = None
    mix_strength: Annotated[float, _told("Parameters of the Beta distribution of shares.", gt=0)] = 1.0
    distil: Annotated[float, _told("Share of the loss that is the distance to the teacher.", ge=0, le=1)] = 0.5
    temperature: Annotated[float, _told("Temperature of both networks in that distance.", gt=0)] = 4.0
    average: Annotated[
        float | None, _told("Decay at each step of a moving average of the weights, which is the result.", ge=0, lt=1)
    ] = None
    patience: Annotated[int | None, _told("Epochs without a better validation after which it ends.", ge=1)] = None
    precision: Annotated[
        Precision, _told("Of products in training: float32 or bfloat16; weights are of float32 in any case.")
    ] = "float32"
    seed: Annotated[int, _told("Seed of all that is random.", ge=0, lt=2**31)] = 0


def recipe_of(**options: Any) -> Recipe:
    """Return the recipe with these options, the others as they are unless given.

    Raises InvalidRecipe for a name that is none of its options, and for a value that is out of its range.
    """
    return settings_of(Recipe, options, "a recipe has")
