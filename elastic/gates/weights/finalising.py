"""Finalising: which weights stay and which are exactly zero, as masks by the names of the weights.

A network whose gates are trained, and one of which the weights of the smallest magnitudes go, the control, get their
zeros in the same way.
"""

import copy
import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from elastic.errors import TargetError
from elastic.gates.opening import Gates
from elastic.gates.weights.closing import THRESHOLD
from elastic.gates.weights.gated import EVERY, layers_of, take_gates

Masks = Mapping[str, Tensor]  # true where a weight stays, by its name, of its shape


def finalise(
    gated: Mapping[str, tuple[nn.Module, Gates]], *, target: float | None = None, threshold: float = THRESHOLD
) -> Masks:
    """Change the gated layers to plain ones with exact zeros, and return where weights stay.

    Without a target a gate is closed where it is less open than the threshold; with one, so many of the least open are
    that the share of zeros is the target, over all layers together. Weights that stay are multiplied by their gates.
    """
    with torch.no_grad():
        if target is None:
            masks = {name: gates.soft() >= threshold for name, (_, gates) in gated.items()}
        else:
            masks = without_smallest({name: gates.logits.detach() for name, (_, gates) in gated.items()}, target)
    take_gates(gated, masks)
    return masks


@torch.no_grad()
def magnitude_pruned(
    model: nn.Module, layers: Sequence[str] = EVERY, *, sparsity: float = 0.9
) -> tuple[nn.Module, Masks]:
    """Return a copy of the model in which this share of the weights of some layers is zero, and where weights stay.

    The smallest of all of these layers together go: the control for gates.

    Raises TargetError for a sparsity that is no share, and what `layers_of` raises.
    """
    network = copy.deepcopy(model)
    weights = {name: layer.get_parameter("weight") for name, layer in layers_of(network, layers).items()}
    masks = without_smallest({name: weight.detach().abs() for name, weight in weights.items()}, sparsity)
    for name, weight in weights.items():
        weight.copy_(torch.where(masks[name], weight, 0))
    return network, masks


def without_smallest(scores: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """Return masks that leave out the smallest of all scores, the least number that is this share; of equals the first.

    Raises TargetError for what is no share.
    """
    check_share(share)
    flat = torch.cat([each.flatten() for each in scores.values()])
    stays = torch.ones(len(flat), dtype=torch.bool, device=flat.device)
    stays[flat.argsort(stable=True)[: math.ceil(share * len(flat) - 1e-9)]] = False
    parts = torch.split(stays, [each.numel() for each in scores.values()])
    return {name: part.view(each.shape) for part, (name, each) in zip(parts, scores.items(), strict=True)}


def check_share(share: float) -> None:
    """Raise TargetError if it is no share of the weights that can be zero."""
    if not 0 <= share < 1:
        raise TargetError(f"{share:g} is no share of the weights that can be zero; give 0 up to less than 1, as 0.9")
