"""Finishing: what follows once it is known which units stay: the cut, the recovery without labels, the tuning."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.utils.data import Dataset

from elastic.cutting import cut
from elastic.data import evaluate, images_loader
from elastic.fitting import fitted
from elastic.gates.channels.recovering import recovered
from elastic.plan import BoolArray, Plan
from elastic.training import Epoch

BATCH = 250  # images at a time

Measure = Callable[[nn.Module], float]


def judge_of(images: Dataset[Any] | None) -> Measure | None:
    """Return what gives the accuracy of a network on held-out images, in percent; None where there are none."""
    return None if images is None else partial(_top1, images_loader(images, BATCH))


def _top1(loader: Any, network: nn.Module) -> float:
    return evaluate(network, loader, next(network.parameters()).device).top1


@dataclass(frozen=True, eq=False)
class Accuracies:
    """Accuracies of a network on its way, by the name of the step; none where nothing measures."""

    measure: Measure | None
    top1: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, network: nn.Module) -> None:
        """Measure a network."""
        if self.measure is not None:
            self.top1[name] = self.measure(network)


@dataclass(frozen=True, eq=False)
class Trained:
    """What weights were trained in, where that is not the model itself: a network that rounds, with its own plan."""

    network: nn.Module  # whole
    plan: Plan
    rounded: Callable[[nn.Module, Iterable[Tensor]], nn.Module]  # the same of another network, on images
    done: Callable[[nn.Module], nn.Module]  # what a network is once its weights stay as they are


def finished(
    model: nn.Module,
    state: Mapping[str, Tensor],
    plan: Plan,
    stays: BoolArray,
    accuracies: Accuracies,
    *,
    calibration: Tensor | None,
    tune: Callable[[nn.Module], tuple[Epoch, ...]] | None,
    trained: Trained | None = None,
) -> tuple[nn.Module, tuple[Epoch, ...]]:
    """Return the network of the units that stay, with what was told of its tuning.

    It begins with the weights of `state`, whole; or, recovered on images of `calibration`, with the better of these
    and the model's own. The state is the model's, or that of what it was `trained` in.
    """
    levels = (~stays).astype(np.uint8)
    of, its_plan = (model, plan) if trained is None else (trained.network, trained.plan)
    network = fitted(of, cut(state, its_plan, levels, 0), plan.sizes(levels, 0)).eval()
    accuracies.add("cut", network)
    if calibration is not None:
        rounded = None if trained is None else trained.rounded
        network = recovered(network, model, plan, levels, calibration, rounded=rounded)
        network = network if trained is None else trained.done(network)
        accuracies.add("recovered", network)
    if tune is None:
        return network, ()
    tuning = tune(network)
    network = network if trained is None else trained.done(network)
    accuracies.add("tuned", network)
    return network, tuning
