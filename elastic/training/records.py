"""Records: what is told of each epoch."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Finite = Annotated[float, Field(allow_inf_nan=False)]


class Epoch(BaseModel):
    """An epoch, from 1; losses in nats, top-1 in percent: of the images as they were augmented, and of the held-out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epoch: Annotated[int, Field(ge=1)]
    loss: Finite
    top1: Finite
    learning_rate: Finite  # of the last step
    seconds: Finite
    images_per_second: Finite
    validation_loss: Finite | None = None
    validation_top1: Finite | None = None
    told: dict[str, Finite] = {}  # by what changes weights beside the optimiser


@dataclass(frozen=True)
class Moment:
    """Where a training stands after a step: steps done of all, and the means over the steps of this epoch."""

    done: int
    total: int
    loss: float
    top1: float  # percent
    images_per_second: float
