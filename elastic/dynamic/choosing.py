"""Choosing: which convolutions of a network get gates."""

import fnmatch
from collections.abc import Callable, Mapping, Sequence

from torch import nn

from elastic.dynamic.following import Following
from elastic.errors import NothingToGate, UnknownName

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)  # exactly these, no classes of theirs


def chosen_layers(
    network: nn.Module,
    behind: Mapping[str, Following],
    patterns: Sequence[str],
    can_be: Callable[[str, nn.Module], str | None],
) -> dict[str, nn.Module]:
    """Return the convolutions whose names match, by name; without patterns those that lead to an activation.

    `can_be` says why a layer can't have gates, None if it can.

    Raises UnknownName for a pattern that matches no convolution, NothingToGate for one that asks for a layer that can't
    have gates, and if there is none.
    """
    there = {name: module for name, module in network.named_modules() if type(module) in CONVOLUTIONS}
    asked: dict[str, nn.Module] = {}
    for pattern in patterns:
        hits = fnmatch.filter(there, pattern)
        if not hits:
            known = ", ".join(list(there)[:8]) or "none"
            raise UnknownName(f"no convolution is called {pattern!r}; there are: {known}")
        asked |= {name: there[name] for name in hits}
    reasons = {name: _reason(name, module, behind, can_be) for name, module in (asked or there).items()}
    if asked:
        for name, reason in reasons.items():
            if reason is not None:
                raise NothingToGate(f"{name} can't have gates: {reason}; leave it out of the layers")
        return asked
    found = {
        name: there[name] for name, reason in reasons.items() if reason is None and behind[name].activation is not None
    }
    if not found:
        first = next((f"{name}: {reason}" for name, reason in reasons.items() if reason), "none leads to an activation")
        raise NothingToGate(f"no convolution of {type(network).__name__} can have gates ({first}); name some layers")
    return found


def _reason(
    name: str, layer: nn.Module, behind: Mapping[str, Following], can_be: Callable[[str, nn.Module], str | None]
) -> str | None:
    return "it does not run exactly once" if name not in behind else can_be(name, layer)
