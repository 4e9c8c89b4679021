"""Gate precision: learn where convolutions have to use all bits of their inputs."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn
from torch.utils.data import Dataset

from elastic.data import images_loader
from elastic.dynamic.counting import counters
from elastic.dynamic.learning import Deciders, Price, positions_of
from elastic.dynamic.precision.layers import precision_gates
from elastic.dynamic.precision.network import precision_gated
from elastic.dynamic.settling import settle
from elastic.dynamic_gating import PrecisionGating
from elastic.precision import computable
from elastic.quantise.activations import InputQuantiser, Pact
from elastic.quantise.weights import WeightQuantiser
from elastic.recipes import Recipe
from elastic.tracing import Example, trace
from elastic.training import Epoch, train

CALIBRATION, BATCH = 512, 250  # images


def gate_precision(
    model: nn.Module,
    example: Example,
    dataset: Dataset[Any],
    recipe: Recipe | None = None,
    *,
    gating: PrecisionGating | None = None,
    calibration: int = CALIBRATION,
    teacher: nn.Module | None = None,
    training: Mapping[str, Any] | None = None,
    settling: Callable[[float], None] | None = None,
    **of_trace: Any,
) -> tuple[nn.Module, Price, tuple[Epoch, ...]]:
    """Return a copy of the model with trained precision gates, the price by which they learned, and the epochs.

    A budget is a share of the operations of bits that gated layers do with all bits. So many images, not
    augmented, calibrate, and settle the thresholds after the training, all by one number, so that these images cost
    just the budget. The teacher is the model itself unless another is given. `training` are options of `train`,
    `settling` is told what is computed while thresholds are settled, as a share of the cost, all others are options of
    `trace`.

    Raises TargetError for a budget below what is always computed, and what `trace`, `precision_gated` and `train`
    raise.
    """
    recipe, gating, whole = recipe or Recipe(), gating or PrecisionGating(), computable(model)
    plan = trace(whole, example, **of_trace)
    loader = images_loader(dataset, BATCH, limit=calibration, seed=recipe.seed)
    network = precision_gated(whole, example, (images for images, _ in loader), gating)
    price = Price(counters(network), positions_of(plan, counters(network), example), elsewhere=0)
    gates = {name: layer.gate for name, layer in precision_gates(network).items()}
    hook = Deciders(gates, price, gating, *_quantising(network), gating.price)
    guide = None if recipe.distil == 0 else teacher or whole
    epochs = train(network.requires_grad_(True), dataset, recipe, teacher=guide, hook=hook, **(training or {}))
    if gating.budget is not None:
        settle(network, (images for images, _ in loader), gating.budget, price.elsewhere, settling)
    return network, price, epochs


def _quantising(network: nn.Module) -> tuple[list[nn.Parameter], list[Tensor]]:
    """Return all that learns in quantisers, and the clips of PACT among it."""
    found = [each for each in network.modules() if isinstance(each, InputQuantiser | WeightQuantiser)]
    return [own for each in found for own in each.parameters()], [e.clip for e in found if isinstance(e, Pact)]
