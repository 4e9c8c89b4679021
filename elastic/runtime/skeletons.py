"""Skeletons: networks of all levels on the meta device, which tell what widths modules keep beside their tensors."""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from elastic.attention import set_all_free
from elastic.fitting import fit
from elastic.runtime.stores import Layout, shape_at

Value = int | tuple[Any, ...] | list[Any]
Widths = Mapping[tuple[str, str], Value]  # by a module's path and an attribute's name


def widths_of(
    network: nn.Module, layout: Layout, attributes: Mapping[int, Mapping[tuple[str, str], int]]
) -> list[Widths]:
    """Return the numbers that modules keep at each level and that differ between levels.

    They are found on copies of the network, which is of the largest level, without memory for weights. `attributes`
    are those of a level that no shape tells. Attentions that have to be free are made so, in the network too.
    """
    levels = range(len(layout.header.levels))
    skeletons = [_skeleton(network, layout, level, attributes.get(level, {})) for level in levels]
    pairs = zip(network.modules(), skeletons[0].modules(), strict=True)
    if any(type(own) is nn.MultiheadAttention and type(cut) is not type(own) for own, cut in pairs):
        set_all_free(network)
        skeletons = [_skeleton(network, layout, level, attributes.get(level, {})) for level in levels]
    found = [_numbers(skeleton) for skeleton in skeletons]
    changing = [key for key in found[0] if any(each[key] != found[0][key] for each in found)]
    return [{key: each[key] for key in changing} for each in found]


def _skeleton(network: nn.Module, layout: Layout, level: int, attributes: Mapping[tuple[str, str], int]) -> nn.Module:
    """Return the network of a level on the meta device."""
    memo: dict[int, Any] = {}
    for tensor in [*network.parameters(), *network.buffers()]:
        empty = torch.empty_like(tensor, device="meta")
        memo[id(tensor)] = nn.Parameter(empty, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else empty
    state = {}
    for name, tensor in network.state_dict().items():
        shape = shape_at(layout, layout.header.aliases.get(name, name), level, tensor.shape)
        state[name] = torch.empty(shape, device="meta")
    return fit(copy.deepcopy(network, memo), state, attributes)


def _numbers(network: nn.Module) -> dict[tuple[str, str], Value]:
    """Return what modules keep beside their tensors that could be a width, by path and name."""
    return {
        (path, name): value
        for path, module in network.named_modules(remove_duplicate=False)
        for name, value in vars(module).items()
        if not name.startswith("_") and name != "training" and _is_of_numbers(value)
    }


def _is_of_numbers(value: object) -> bool:
    return type(value) is int or (isinstance(value, tuple | list) and all(_is_of_numbers(each) for each in value))
