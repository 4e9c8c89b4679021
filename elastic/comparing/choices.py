"""Choices: criteria and allocations by name, and the controls that are always among them.

Random scores with good widths prune about as well as many criteria do (Li et al., "Revisiting Random Channel Pruning
for Neural Network Compression", arXiv:2205.05676); and a criterion may owe its accuracy to the widths that it happens
to choose. So a criterion is held against random scores, an allocation against the same share of every layer.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from elastic.allocation import Bounds
from elastic.errors import DataError, UnknownName
from elastic.importance import CRITERIA, NEED_DATA, Criterion

RANDOM, UNIFORM = "random", "uniform"

Options = Mapping[str, Any]  # of `elastic.prune`: how scores become widths

ALLOCATIONS: Mapping[str, Options] = {
    "global": {"normalisation": "mean", "scope": "global"},
    "global-none": {"normalisation": "none", "scope": "global"},
    "global-max": {"normalisation": "max", "scope": "global"},
    "global-gaussian": {"normalisation": "gaussian", "scope": "global"},
    "per-macs": {"normalisation": "none", "scope": "global", "per": "macs"},
    "per-params": {"normalisation": "none", "scope": "global", "per": "params"},
    "per-size": {"normalisation": "none", "scope": "global", "per": "size"},
    "isomorphic": {"normalisation": "mean", "scope": "isomorphic"},
    UNIFORM: {"normalisation": "mean", "scope": "uniform"},
}
OPTIONS = ("normalisation", "scope", "per", "keep_at_least", "round_to")
UNSUITED = ("gates",)  # these need more than data


@dataclass(frozen=True, eq=False)
class Choices:
    """Criteria and allocations by name, controls last."""

    criteria: Mapping[str, str | Criterion]
    allocations: Mapping[str, dict[str, Any]]  # plain JSON values, as a record keeps them


def with_controls(
    criteria: Sequence[str] | Mapping[str, str | Criterion],
    allocations: Sequence[str] | Mapping[str, Options],
    *,
    keep_at_least: float,
) -> Choices:
    """Return what was asked for, with `random` and `uniform` after it where they were not.

    Raises UnknownName for a name that nothing goes by, an option that is none of an allocation, and for one's own
    criterion or allocation under the name of a control; TargetError if `keep_at_least` is no width.
    """
    Bounds(keep_at_least)  # raises
    ranked = dict(criteria) if isinstance(criteria, Mapping) else {name: name for name in criteria}
    asked = dict(allocations) if isinstance(allocations, Mapping) else {n: _known_allocation(n) for n in allocations}
    for name, criterion in ranked.items():
        if isinstance(criterion, str):
            _check_criterion(criterion)
        if name == RANDOM and criterion != RANDOM:
            raise UnknownName(f"criterion {name!r} is the control; give your own another name")
    for name, options in asked.items():
        _check_options(name, options)
        if name == UNIFORM and dict(options) != ALLOCATIONS[UNIFORM]:
            raise UnknownName(f"allocation {name!r} is the control; give your own another name")
    ranked.setdefault(RANDOM, RANDOM)
    asked.setdefault(UNIFORM, ALLOCATIONS[UNIFORM])
    plain = {name: json.loads(json.dumps({"keep_at_least": keep_at_least} | dict(o))) for name, o in asked.items()}
    return Choices(ranked, plain)


def check_data(choices: Choices, *, has_data: bool, recover: bool) -> None:
    """Raise DataError, before any work is done, if something asked for needs images that were not given."""
    needy = [name for name, criterion in choices.criteria.items() if criterion in NEED_DATA]
    needy += ["recover=True"] * recover
    if needy and not has_data:
        raise DataError(f"{', '.join(needy)}: needs data; give batches, or a function from a seed to batches")


def _known_allocation(name: str) -> Options:
    if name not in ALLOCATIONS:
        raise UnknownName(f"unknown allocation {name!r}; known: {', '.join(ALLOCATIONS)}")
    return ALLOCATIONS[name]


def _check_criterion(name: str) -> None:
    known = [each for each in CRITERIA if each not in UNSUITED]
    if name not in known:
        raise UnknownName(f"unknown criterion {name!r}; known here: {', '.join(known)}")


def _check_options(name: str, options: Options) -> None:
    if unknown := [option for option in options if option not in OPTIONS]:
        raise UnknownName(f"allocation {name!r} has no option {unknown[0]!r}; known: {', '.join(OPTIONS)}")
