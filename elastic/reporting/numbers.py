"""Numbers as people read them: thousands apart, four digits that matter, a dash where there is none."""

import math
from collections.abc import Sequence

Cell = str | bool | int | float | None

MISSING, MINUS = "–", "−"
DIGITS = 4  # that matter, of a float
MOST_DECIMALS, LEAST_SHARED = 4, 0.01  # that a column shares; with numbers below this, each has its own


def shown(value: Cell, decimals: int | None = None) -> str:
    """Return a value as text; a float with so many decimals, or with as many as it needs."""
    match value:
        case None:
            return MISSING
        case bool():
            return "yes" if value else "no"
        case str():
            return value
        case int():
            return f"{value:,}".replace("-", MINUS)
        case float():
            return _float(value, decimals)


def column(values: Sequence[Cell]) -> tuple[str, ...]:
    """Return the texts of a column: its floats have as many decimals as the one that needs most, where that is few."""
    shared = _shared([value for value in values if isinstance(value, float) and value])
    return tuple(shown(value, shared) for value in values)


def is_number(value: Cell) -> bool:
    """Return whether a value belongs to the right of its column."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shared(values: Sequence[float]) -> int | None:
    """Return the decimals that numbers can share; None where the least would lose what matters, or the most gain."""
    needed = [each for each in map(_decimals, values) if each is not None]
    if len(needed) < len(values) or any(abs(value) < LEAST_SHARED for value in values):
        return None
    return min(max(needed, default=0), MOST_DECIMALS)


def _float(value: float, decimals: int | None) -> str:
    needed = _decimals(value)
    if needed is None:
        digits, _, power = f"{value:.{DIGITS - 1}e}".partition("e")
        text = f"{float(digits):g}e{int(power)}"
    else:
        text = f"{value:,.{needed if decimals is None else decimals}f}"
    return text.replace("-", MINUS)


def _decimals(value: float) -> int | None:
    """Return how many decimals four digits need, zeros at the end left out; None for what needs a power of ten."""
    if value == 0:
        return 0
    power = math.floor(math.log10(abs(value)))
    if not -5 <= power < 15:
        return None
    return len(f"{abs(value):.{max(0, DIGITS - 1 - power)}f}".partition(".")[2].rstrip("0"))
