"""Scopes: which units compete with which, and which groups have their width fixed by name.

Units compete within a class of groups, and every class loses the same share. `global` is one class; `uniform` has one
for each group; `isomorphic` has one for each structure: Fang et al., "Isomorphic Pruning for Vision Models", ECCV 2024.
"""

import fnmatch
from collections import Counter
from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np

from elastic.allocation.bounds import Bounds
from elastic.errors import TargetError, UnknownName
from elastic.plan import Group, IntArray, Plan

Scope = Literal["global", "uniform", "isomorphic"]
Structure = frozenset[tuple[tuple[str, str, int, int], int]]


def check_scope(scope: Scope | Mapping[str, float]) -> None:
    """Raise UnknownName if there is no such scope, TargetError if a share is none."""
    if isinstance(scope, Mapping):
        for pattern, share in scope.items():
            if not 0 <= share < 1:
                raise TargetError(f"share {pattern}={share:g} is none; give the part to remove, from 0 to below 1")
    elif scope not in get_args(Scope):
        raise UnknownName(f"unknown scope {scope!r}; known: {', '.join(get_args(Scope))}, or shares by name pattern")


def class_of_group(plan: Plan, scope: Scope | Mapping[str, float]) -> IntArray:
    """Return the number of the class in which each group competes, [groups]."""
    if scope == "uniform":
        return np.arange(len(plan.groups))
    if scope == "isomorphic":
        kinds, known = kinds_of_weights(plan), dict[Structure, int]()
        return np.array([known.setdefault(structure(plan, kinds, g), len(known)) for g in plan.groups], np.int64)
    return np.zeros(len(plan.groups), np.int64)


def fixed_widths(plan: Plan, scope: Scope | Mapping[str, float], bounds: Bounds) -> dict[int, int]:
    """Return how many units are kept of each group that a mapping names, by the group's number.

    That is the group less its share, to the nearest unit, and no less than the bounds allow.

    Raises UnknownName if a pattern matches no group's name, TargetError if two give one group different shares.
    """
    if not isinstance(scope, Mapping):
        return {}
    found: dict[int, tuple[str, float]] = {}
    for pattern, share in scope.items():
        hits = [number for number, group in enumerate(plan.groups) if fnmatch.fnmatchcase(group.name, pattern)]
        if not hits:
            names = sorted({group.name for group in plan.groups})
            shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
            raise UnknownName(f"no group's name matches {pattern!r}; there are {shown} (elastic doctor lists them)")
        for number in hits:
            before, other = found.setdefault(number, (pattern, share))
            if other != share:
                name = plan.groups[number].name
                raise TargetError(f"{name} matches {before}={other:g} and {pattern}={share:g}; name it once")
    wholes = {number: len(plan.groups[number].units) for number in found}
    return {
        number: bounds.kept(plan.groups[number], wholes[number] - round(share * wholes[number]))
        for number, (_, share) in found.items()
    }


def structure(plan: Plan, kinds: Mapping[str, str], group: Group) -> Structure:
    """Return what a group ties together: how often each role, which is a kind of layer, tensor, rank and axis.

    Names, widths and kernel sizes don't count, nor do operations without tensors.
    """
    return frozenset(
        Counter(
            (kinds.get(name, ""), name.rpartition(".")[2], len(plan.tensors[name].shape), axis)
            for name, axis in group.axes
        ).items()
    )


def kinds_of_weights(plan: Plan) -> dict[str, str]:
    """Return the kind of the layer that each weight belongs to, as far as the plan knows it."""
    operations = {operation.weight: operation.kind for operation in plan.operations if operation.weight}
    return operations | {layer.weight: layer.kind for layer in plan.layers if layer.weight}
