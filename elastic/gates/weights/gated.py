"""Gated: weights of linear layers and convolutions that are multiplied by gates, one for each element.

The gates are a parametrization of torch's, so that no line of a network's code changes: whoever reads `layer.weight`
gets the product. At the start a weight is divided by its gate, so that the network computes what it did.
"""

import fnmatch
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from elastic.errors import InvalidRecipe, UnknownName
from elastic.gates.opening import Gates, Opening

EVERY = ("*",)  # patterns of layers
TEMPERATURES: Mapping[str, float] = {"hard-concrete": 2 / 3}  # as published; 1 for all others
KINDS = (nn.Linear, nn.modules.conv._ConvNd)


class Gated(nn.Module):
    """Multiplies a weight by its gates: as they are drawn in training, without noise in eval mode."""

    def __init__(self, shape: Sequence[int], opening: Opening) -> None:
        """Open a gate for each element. Raises UnknownName for another kind of opening."""
        super().__init__()
        self.gates = Gates(shape, opening, temperature=TEMPERATURES.get(opening, 1.0))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight as the layer has it."""
        return weight * (self.gates.drawn() if self.training else self.gates.soft()).to(weight.dtype)

    def right_inverse(self, weight: Tensor) -> Tensor:
        """Return the weight of which gates without noise make this one."""
        return weight / self.gates.soft().to(weight.dtype)


def layers_of(model: nn.Module, layers: Sequence[str] = EVERY) -> dict[str, nn.Module]:
    """Return the linear layers and convolutions whose names match one of the patterns, by the names of their weights.

    Raises UnknownName for a pattern that matches none, InvalidRecipe for a weight that is tied to another parameter, or
    that is computed from others (weight norm).
    """
    known = {name: module for name, module in model.named_modules() if isinstance(module, KINDS)}
    chosen: set[str] = set()
    for pattern in layers:
        if not (hits := fnmatch.filter(known, pattern)):
            there = ", ".join(list(known)[:8]) or "none"
            raise UnknownName(f"no linear layer or convolution is called {pattern!r}; there are: {there}")
        chosen |= set(hits)
    found: dict[str, nn.Module] = {
        f"{name}.weight".removeprefix("."): module for name, module in known.items() if name in chosen
    }
    _check(model, found)
    return found


def put_gates(
    model: nn.Module, layers: Sequence[str] = EVERY, opening: Opening = "sigmoid"
) -> dict[str, tuple[nn.Module, Gates]]:
    """Change the model: the weights of some layers have gates; return layer and gates by the weight's name.

    Raises UnknownName for another kind of opening, and what `layers_of` raises.
    """
    found: dict[str, tuple[nn.Module, Gates]] = {}
    for name, layer in layers_of(model, layers).items():
        weight = layer.weight
        assert isinstance(weight, Tensor)
        gated = Gated(weight.shape, opening).to(weight.device)
        parametrize.register_parametrization(layer, "weight", gated)
        found[name] = (layer, gated.gates)
    return found


@torch.no_grad()
def take_gates(gated: Mapping[str, tuple[nn.Module, Gates]], masks: Mapping[str, Tensor]) -> None:
    """Change the layers back to plain ones, their weights multiplied by open gates, exactly zero where a mask is false.

    Gates without noise are meant: what is not closed computes what the gated network computes in eval mode.
    """
    for name, (layer, gates) in gated.items():
        opened = gates.soft()
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
        weight = layer.weight
        assert isinstance(weight, Tensor)
        weight.copy_(torch.where(masks[name], weight * opened.to(weight.dtype), 0))
        behind = {other: layer._parameters.pop(other) for other in list(layer._parameters) if other != "weight"}
        layer._parameters.update(behind)  # in the order that they had before


def _check(model: nn.Module, found: Mapping[str, nn.Module]) -> None:
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    for name, layer in found.items():
        weight = layer._parameters.get("weight")
        if weight is None:
            raise InvalidRecipe(f"{name} is computed from other parameters (weight norm?); leave its layer out")
        if len(tied := names[id(weight)]) > 1:
            raise InvalidRecipe(f"{tied[0]} is tied to {tied[1]}; a weight with gates is a layer's own: leave both out")
