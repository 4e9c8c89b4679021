"""Telling: words for what a picture shows, for those who do not see it."""

from collections.abc import Sequence

from elastic.reporting.numbers import shown

MOST = 12  # series that are told one by one


def counted(number: int, what: str) -> str:
    """Return a number of things."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def listed(said: Sequence[str], what: str) -> str:
    """Return what is said of each series as sentences; of very many, of the first ones."""
    more = [f"{len(said) - MOST:,} more {what} are in the table"] if len(said) > MOST else []
    return " ".join(f"{each}." for each in [*said[:MOST], *more])


def spanned(values: Sequence[tuple[float, str]]) -> str:
    """Return the least, the most and the mean of values with their names."""
    (least, low), (most, high) = min(values), max(values)
    mean = sum(value / len(values) for value, _ in values)  # of huge ones, the sum may not be finite
    return f"from {shown(least)} ({low}) to {shown(most)} ({high}), mean {shown(mean)}"
