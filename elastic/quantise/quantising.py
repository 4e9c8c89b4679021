"""Quantise: round a network to few bits, by calibration alone, or trained so that it bears it.

Training is with rounding in every step (quantisation-aware), with the network as it was for a teacher. Clips and steps
learn apart: without decay, at a rate of their own.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from elastic.data import images_loader
from elastic.quantise.activations import Pact, Ranges
from elastic.quantise.aligning import aligned
from elastic.quantise.layers import QuantisedLayer, quantised_layers
from elastic.quantise.network import quantised
from elastic.quantise.weights import WeightSteps
from elastic.recipes import Recipe
from elastic.training import Epoch, Hook, train

CALIBRATION, BATCH = 512, 250  # images
PRICE = 2e-4  # of PACT's clips, squared
RATE = 0.1  # of clips and steps, in learning rates of weights


def quantise(
    model: nn.Module,
    dataset: Dataset[Any],
    recipe: Recipe | None = None,
    *,
    bits: str | Sequence[str] = "W8A8",
    weights: WeightSteps = "max",
    ranges: Ranges = "learned",
    calibration: int = CALIBRATION,
    price: float = PRICE,
    rate: float = RATE,
    teacher: nn.Module | None = None,
    training: Mapping[str, Any] | None = None,
    calibrated: Callable[[nn.Module], None] | None = None,
) -> tuple[nn.Module, tuple[Epoch, ...]]:
    """Return a quantised copy of the model with what was told of each epoch; without a recipe it is only calibrated.

    `bits`, `weights` and `ranges` are as in `quantised`; so many images for `calibration`, not augmented. The teacher
    is the model itself unless another is given. `price` is that of PACT's clips, squared; `rate` that of clips and
    steps, in learning rates of the recipe. `training` are options of `train` (`keep`, `log`, `validation`, ...). At the
    end biases are moved to whole steps of their sums (`aligned`). `calibrated` is given what would be returned without
    training, before it begins.

    Raises what `quantised` and `train` raise.
    """
    seed = 0 if recipe is None else recipe.seed
    seen = [images for images, _ in images_loader(dataset, BATCH, limit=calibration, seed=seed)]
    rounding = Rounding(bits, weights, ranges, price, rate)
    network = rounding.network(model, seen)
    told: tuple[Epoch, ...] = ()
    if recipe is not None:
        if calibrated is not None:
            calibrated(aligned(network, seen[0][:1]))
        guide = None if recipe.distil == 0 else teacher or model
        hook = rounding.hook(network)
        told = train(network, dataset, recipe, teacher=guide, hook=hook, **(training or {}))
    return aligned(network, seen[0][:1]), told


@dataclass(frozen=True)
class Rounding:
    """All that decides how a network is rounded, and how clips and steps learn; words as in `quantise`."""

    bits: str | Sequence[str] = "W8A8"
    weights: WeightSteps = "max"
    ranges: Ranges = "learned"
    price: float = PRICE
    rate: float = RATE

    def network(self, model: nn.Module, batches: Iterable[Tensor]) -> nn.Module:
        """Return a quantised copy of a model, calibrated. Raises what `quantised` raises."""
        return quantised(model, batches, self.bits, weights=self.weights, ranges=self.ranges)

    def hook(self, network: nn.Module) -> "Clipping":
        """Return what trains the clips and steps of a quantised network."""
        return Clipping(quantised_layers(network), self.price, self.rate)


@dataclass(eq=False)
class Clipping(Hook):
    """Trains clips and steps apart from weights, and adds the price of clips: Choi et al., "PACT", section 3."""

    layers: Mapping[str, QuantisedLayer]
    price: float = PRICE
    rate: float = RATE

    def __post_init__(self) -> None:
        inputs = [layer.input_quantiser for layer in self.layers.values()]
        steps = [layer.weight_quantiser for layer in self.layers.values()]
        self.apart: list[nn.Parameter] = [own for each in (*inputs, *steps) for own in each.parameters()]
        self.clips: list[Tensor] = [each.clip for each in inputs if isinstance(each, Pact)]

    def settings(self) -> Mapping[str, Any]:
        """Return the bits of each layer, and how its clips and steps are trained."""
        bits = {name: str(layer.bits) for name, layer in self.layers.items()}
        kinds = sorted({type(layer.input_quantiser).__name__ for layer in self.layers.values()})
        return {"bits": bits, "ranges": kinds, "price": self.price, "rate": self.rate}

    def penalty(self) -> Tensor | None:
        """Return the price of the clips."""
        return self.price * torch.stack(self.clips).square().sum() if self.clips else None
