"""Aim: what gates are to come to, and what closes them on the way."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from elastic.errors import InvalidRecipe, UnknownName
from elastic.gates.opening import Gates, Opening
from elastic.gates.steering import Steering
from elastic.gates.weights.closing import RATES, THRESHOLD, Closing
from elastic.gates.weights.finalising import check_share
from elastic.plan import Plan
from elastic.recipes import Recipe
from elastic.training.order import Order

Per = Literal["params", "macs"]
STRENGTH = 1e-5  # lambda, the least of those that were published


@dataclass(frozen=True)
class Aim:
    """A share of the weights that is to be zero, or what a fixed lambda makes of it, 1e-5 if None.

    Raises TargetError for a target that is no share, UnknownName for another price, InvalidRecipe for a strength beside
    a target.
    """

    strength: float | None = None
    target: float | None = None
    opening: Opening = "sigmoid"
    threshold: float = THRESHOLD
    rate: float | None = None
    warm_up: float = 0.1
    ramp: float = 0.5
    per: Per = "params"

    def __post_init__(self) -> None:
        if self.target is not None:
            check_share(self.target)
        if self.target is not None and self.strength is not None:
            raise InvalidRecipe(
                f"a target of {self.target:g} finds its strength, but {self.strength:g} was given; leave one out"
            )
        if self.per not in ("params", "macs"):
            raise UnknownName(f"unknown price {self.per!r}; known: params, macs")

    def closing(self, gates: Mapping[str, Gates], plan: Plan, recipe: Recipe, images: int) -> Closing:
        """Return what closes gates, by the names of their weights, in a training on so many images."""
        steps = recipe.epochs * Order(images, recipe.batch, recipe.seed).steps
        count = sum(each.logits.numel() for each in gates.values())
        if self.target is None:
            strength = STRENGTH if self.strength is None else self.strength
            steering = Steering(steps, strength * count, warm_up=self.warm_up)
        else:
            steering = Steering(steps, 0.0, 1 - self.target, ramp=self.ramp)
        rate = RATES[recipe.optimiser] if self.rate is None else self.rate
        return Closing(gates, prices(plan, gates, self.per), steering, self.threshold, rate)


def prices(plan: Plan, gates: Mapping[str, Gates], per: Per) -> dict[str, float]:
    """Return what a gate of each weight pays, 1 in the mean over all gates: the same, or by how often it is used."""
    if per == "params":
        return dict.fromkeys(gates, 1.0)
    used = {name: float(sum(o.macs for o in plan.operations if o.weight == name)) for name in gates}
    sizes = {name: each.logits.numel() for name, each in gates.items()}
    total = sum(used[name] * size for name, size in sizes.items())
    return {name: used[name] * sum(sizes.values()) / total for name in gates}
