"""Gate channels dynamically: learn where convolutions have to read all of their channels."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn
from torch.utils.data import Dataset

from elastic.data import images_loader
from elastic.dynamic.channel.layers import channel_gates
from elastic.dynamic.channel.network import channel_gated
from elastic.dynamic.counting import counters
from elastic.dynamic.learning import Deciders, Price, macs_elsewhere, positions_of
from elastic.dynamic.settling import settle
from elastic.dynamic_gating import ChannelGating
from elastic.precision import computable
from elastic.recipes import Recipe
from elastic.tracing import Example, trace
from elastic.training import Epoch, train

CALIBRATION, BATCH = 512, 250  # images


def gate_channels_dynamically(
    model: nn.Module,
    example: Example,
    dataset: Dataset[Any],
    recipe: Recipe | None = None,
    *,
    gating: ChannelGating | None = None,
    calibration: int = CALIBRATION,
    teacher: nn.Module | None = None,
    training: Mapping[str, Any] | None = None,
    settling: Callable[[float], None] | None = None,
    **of_trace: Any,
) -> tuple[nn.Module, Price, tuple[Epoch, ...]]:
    """Return a copy of the model with trained channel gates, the price by which they learned, and the epochs.

    A budget is a share of the network's MACs. So many images, not augmented, settle the norms that decide, and after
    the training the thresholds, all by one number, so that these images cost just the budget. The teacher is the model
    itself unless another is given. `training` are options of `train`, `settling` is told what is computed while
    thresholds are settled, as a share of the cost, all others are options of `trace`.

    Raises TargetError for a budget below what is always computed, and what `trace`, `channel_gated` and `train` raise.
    """
    recipe, gating, whole = recipe or Recipe(), gating or ChannelGating(), computable(model)
    plan = trace(whole, example, **of_trace)
    loader = images_loader(dataset, BATCH, limit=calibration, seed=recipe.seed)
    network = channel_gated(whole, example, gating, (images for images, _ in loader))
    gates = counters(network)
    price = Price(gates, positions_of(plan, gates, example), macs_elsewhere(plan, gates, example))
    hook = Deciders({name: layer.gate for name, layer in channel_gates(network).items()}, price, gating)
    guide = None if recipe.distil == 0 else teacher or whole
    epochs = train(network.requires_grad_(True), dataset, recipe, teacher=guide, hook=hook, **(training or {}))
    if gating.budget is not None:
        settle(network, (images for images, _ in loader), gating.budget, price.elsewhere, settling)
    return network, price, epochs
