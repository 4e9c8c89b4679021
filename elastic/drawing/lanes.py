"""Lanes: where the edges that pass over rows run, beside the spine on which a row leads to the next.

All edges from one row share a lane down to the last row that they lead to, so that a network in which every layer
feeds all later ones needs a lane for each layer, not for each edge.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Lane:
    """The edges from a row to later ones that don't come right after it; lane 0 is next to the spine."""

    source: int
    targets: tuple[int, ...]
    number: int


def lanes_of(inputs: Sequence[Sequence[int]]) -> tuple[Lane, ...]:
    """Return the lanes of rows whose inputs are given, by source; short ones lie inside longer ones."""
    targets: dict[int, list[int]] = {}
    for row, sources in enumerate(inputs):
        for source in sources:
            if source != row - 1:
                targets.setdefault(source, []).append(row)
    taken: list[list[tuple[int, int]]] = []
    numbers: dict[int, int] = {}
    for source in sorted(targets, key=lambda each: (targets[each][-1] - each, each)):
        first, last = source, targets[source][-1]
        # One may begin in the row where another ends: it leaves below where that comes in.
        free = (n for n, spans in enumerate(taken) if all(last <= a or b <= first for a, b in spans))
        number = next(free, len(taken))
        if number == len(taken):
            taken.append([])
        taken[number].append((first, last))
        numbers[source] = number
    return tuple(Lane(source, tuple(targets[source]), numbers[source]) for source in sorted(targets))
