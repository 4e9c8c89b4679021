"""Gate adaptively: learn, beside the weights, which channels each image needs, to a mean cost."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from elastic.data import images_loader
from elastic.errors import InvalidRecipe
from elastic.gates.adaptive.gated import AdaptiveGated
from elastic.gates.channels.aims import Aim, aims_of
from elastic.gates.channels.beginning import begin_by, places_of
from elastic.gates.channels.price import Price
from elastic.gates.channels.settling import settled
from elastic.gates.opening import Gates
from elastic.gates.pacing import Pace
from elastic.gates.steering import Steering
from elastic.gating import NONE, Gating
from elastic.modes import eval_mode
from elastic.plan import Plan
from elastic.precision import computable
from elastic.recipes import Recipe
from elastic.tracing import Example, trace
from elastic.training import Epoch, Hook, train

BATCH = 250


@dataclass(frozen=True)
class Adapted:
    """What was measured of a network with adaptive gates."""

    top1: float  # percent
    share: float  # of the dense cost, the mean over images
    deviation: float  # of that share between images
    images: int
    opened: tuple[float, ...]  # [units], share of images for which each is open


def gate_adaptively(
    model: nn.Module,
    example: Example,
    dataset: Dataset[Any],
    recipe: Recipe | None = None,
    *,
    target: str,
    gating: Gating | None = None,
    hidden: int = 16,
    calibration: int = 512,
    training: Mapping[str, Any] | None = None,
    **of_trace: Any,
) -> tuple[AdaptiveGated, Price, tuple[Epoch, ...]]:
    """Return a copy of the model with gates that each image decides, the price by which they learned, and the epochs.

    The mean cost of an image, such as `macs=60%`, is what the target limits. Of `gating` it takes where gates begin,
    how far they travel, and the controller's settings; `hidden` is the width of what decides. The model is the teacher.
    `training` are options of `train`, all others those of `trace`.

    Raises InvalidRecipe for a patience, and what `trace`, `AdaptiveGated`, `train` and the target raise.
    """
    recipe, gating = recipe or Recipe(), gating or Gating()
    if recipe.patience is not None:
        raise InvalidRecipe("patience ends a training early, and gates need all of its epochs; leave it out")
    plan, whole = trace(model, example, **of_trace), computable(model)
    bounds = {"keep_at_least": 1, "round_to": 1}
    price, (aim,) = aims_of(plan, [target], (), "macs", None, bounds)
    assert isinstance(price, Price)  # there is no table of times
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        gated = AdaptiveGated(copy.deepcopy(whole), plan, hidden=hidden, begin=gating.begin)
    if gating.prior != NONE:
        seen = list(images_loader(dataset, BATCH, limit=calibration, seed=recipe.seed))
        _begin(gated, plan, places_of(gating.prior, whole, plan, price.quantity, seen, bounds), aim, gating, bounds)
    teacher = None if recipe.distil == 0 else whole
    hook = Adapting(gated, price, aim, gating)
    epochs = train(gated.requires_grad_(True), dataset, recipe, teacher=teacher, hook=hook, **(training or {}))
    return gated, price, epochs


class Adapting(Hook):
    """Trains what decides, at the price of what the images of a step cost."""

    def __init__(self, gated: AdaptiveGated, price: Price, aim: Aim, gating: Gating) -> None:
        """Begin."""
        self.gated, self.price, self.aim, self.gating = gated, price, aim, gating
        self.apart = list(gated.deciders.parameters())
        self.pace = Pace(gating.travel)
        self.sums: list[tuple[float, float]] = []  # hard and soft cost in the steps of this epoch
        self.steering = self._steering(1)

    def settings(self) -> Mapping[str, Any]:
        """Return what it comes to, and how."""
        return {"aim": self.aim.name, "price": self.price.quantity, **self.gating.model_dump(mode="json")}

    def begin(self, recipe: Recipe, steps: int) -> None:
        """Learn how many steps there will be."""
        self.steering, self.rate = self._steering(steps), self.pace.rate(recipe, steps)

    def penalty(self) -> Tensor:
        """Return the mean price of the images of this step."""
        with torch.no_grad():
            self.steering.paid = float(self.price(self.gated.hard).mean())
        soft = self.price(self.gated.soft).mean()
        self.sums.append((self.steering.paid, float(soft.detach())))
        return (self.steering.now * self.gated.units * soft).float()

    def before_step(self) -> None:
        """Make steps of what decides as long as they have to be."""
        gradients = [each.grad for each in self.apart if each.grad is not None]
        of_logits = [each.grad for each in self.gated.biases if each.grad is not None]  # summed over images
        if of_logits:
            self.steering.scale = self.pace.keep(gradients, torch.cat(of_logits))

    def after_step(self) -> None:
        """Go on to the next strength."""
        self.steering.go_on()

    def after_epoch(self, epoch: int, epochs: int) -> Mapping[str, float]:
        """Tell what the images of this epoch cost in the mean, and the strength."""
        hard, soft = np.mean(self.sums, 0) if self.sums else (0.0, 0.0)
        self.sums = []
        name = self.price.quantity
        return {f"{name}_hard": float(hard), f"{name}_soft": float(soft), "strength": self.steering.now}

    def state(self) -> dict[str, Tensor]:
        """Return all that it remembers."""
        sums = torch.tensor(self.sums, dtype=torch.float64).view(-1, 2)
        return {"steering": self.steering.state(), "pace": self.pace.state(), "sums": sums}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Change it to what `state` returned."""
        self.steering.load(state["steering"])
        self.pace.load(state["pace"])
        self.sums = [(hard, soft) for hard, soft in state["sums"].tolist()]

    def _steering(self, steps: int) -> Steering:
        gating = self.gating
        found = Steering(
            steps, 0.0, self.aim.share, ramp=gating.ramp, proportional=gating.proportional, integral=gating.integral
        )
        found.scale = 0.0
        return found


@torch.no_grad()
def measure(gated: AdaptiveGated, price: Price, loader: DataLoader[tuple[Tensor, Tensor]]) -> Adapted:
    """Return how often a network with adaptive gates is right, and what its images cost."""
    hits, shares, opened = 0, [], torch.zeros(gated.units, dtype=torch.float64)
    device = next(gated.parameters()).device
    with eval_mode(gated):
        for images, labels in loader:
            hits += int((gated(images.to(device)).argmax(1).cpu() == labels).sum())
            shares.append(price(gated.hard).cpu())
            opened += gated.hard.double().sum(0).cpu()
    found = torch.cat(shares)
    return Adapted(
        100 * hits / len(found),
        float(found.mean()),
        float(found.std()),
        len(found),
        tuple((opened / len(found)).tolist()),
    )


def _begin(
    gated: AdaptiveGated, plan: Plan, places: np.ndarray, aim: Aim, gating: Gating, bounds: Mapping[str, Any]
) -> None:
    """Change what is decided for all images at first to the network at the target."""
    gates = Gates(plan.units)
    nn.init.constant_(gates.logits, gating.begin)
    begin_by(places, gates, gating.begin, lambda order: settled(plan, order, aim.name, bounds))
    with torch.no_grad():
        for number, bias in zip(gated.deciders, gated.biases, strict=True):
            bias.copy_(gates.logits[torch.as_tensor(np.asarray(plan.groups[int(number)].units))])
