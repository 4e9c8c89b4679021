"""Told: what a file says of levels that are not of floats, by its header alone, without torch.

What such a level's own tensors mean is plain data in the recipe, under a key for each way to be of another make, by the
level's name. Nothing else in the toolkit lists these ways but `elastic.makes`, which knows what to do with them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from elastic.errors import GatedLevel, InvalidBits
from elastic.metadata import Header, find_level

QUANTISED, GATED = "quantised", "gated"
KEYS = (QUANTISED, GATED)
Told = Mapping[str, Any]  # by these keys, of one level


def told_of_level(header: Header, level: int | str | None) -> Told:
    """Return what a header says of a level of another make; empty if it is of floats."""
    of, found = header.levels[find_level(header, level)], {}
    for key in KEYS:
        levels = header.recipe.get(key, {})
        if of.own and isinstance(levels, dict) and of.name in levels:
            found[key] = levels[of.name]
    return found


def make_of(header: Header, level: int) -> str:
    """Return what a level is made of, in words."""
    told = told_of_level(header, level)
    few = "few bits" if QUANTISED in told else ""
    if GATED in told:
        return "gated, in few bits" if few else "gated"
    return few or ("another make" if header.levels[level].own else "floats")


def check_plain_levels(header: Header, path: str | Path, numbers: Sequence[int] = ()) -> None:
    """Raise GatedLevel or InvalidBits if one of these levels is not of floats, one of all if none are given."""
    every = range(len(header.levels))
    for error, what, made in (
        (GatedLevel, "gated levels", [n for n in every if _is_gated(header, n)]),
        (InvalidBits, "levels of few bits", [n for n in every if header.levels[n].own]),
    ):
        if made and not numbers:
            raise error(
                f"{path} has {what} ({', '.join(header.levels[n].name for n in made)}), and this changes weights of "
                "floats that they would no longer fit; give the file of floats that they were made from, and make them "
                "anew of what comes of it"
            )
        if already := [header.levels[n].name for n in numbers if n in made]:
            raise error(
                f"level {already[0]!r} of {path} is {'gated' if error is GatedLevel else 'quantised'} already; give "
                "the file of floats that it was made from"
            )


def _is_gated(header: Header, level: int) -> bool:
    return GATED in told_of_level(header, level)
