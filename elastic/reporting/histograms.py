"""Histograms: how many values lie between one edge and the next."""

import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from elastic.errors import InvalidReport
from elastic.reporting.looks import DASHES, add_legend, colour, height_for, is_above, name_axes, spell_out, tidy
from elastic.reporting.numbers import shown
from elastic.reporting.tables import Table
from elastic.reporting.telling import counted, listed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STEEP = 100  # times the median count: from there on counts are on a log scale
FLOOR = 0.6  # where a log scale of counts begins, so that a single one is seen


@dataclass(frozen=True)
class Histogram:
    """Counts by series, between edges that ascend; `x` says what was counted, with the unit."""

    KIND: ClassVar = "histogram"

    name: str
    title: str
    x: str
    edges: tuple[float, ...]
    counts: Mapping[str, Sequence[int]]
    note: str = ""

    def check(self) -> None:
        """Raise InvalidReport if edges don't ascend, or if counts are missing, negative or too many."""
        if len(self.edges) < 2 or any(low >= high for low, high in self._bins()):
            raise InvalidReport(f"edges of histogram {self.name} must ascend, and be two at least")
        if not self.counts:
            raise InvalidReport(f"histogram {self.name} has no series; leave it out of the report")
        for series, counts in self.counts.items():
            if len(counts) != len(self.edges) - 1:
                raise InvalidReport(
                    f"histogram {self.name} has {len(self.edges) - 1} bins, but series {series!r} has {len(counts)} "
                    "counts; give one for each bin"
                )
            if min(counts) < 0:
                raise InvalidReport(f"series {series!r} of histogram {self.name} counts {min(counts)}, less than none")

    def records(self) -> Table:
        """Return what the CSV file holds: a row for each bin of each series."""
        rows = tuple(
            (series, low, high, count)
            for series, counts in self.counts.items()
            for (low, high), count in zip(self._bins(), counts, strict=True)
        )
        return Table(self.name, self.title, ("series", "low", "high", "count"), rows)

    def numbers(self) -> Table:
        """Return the numbers as people read them: a row for each bin, a column for each series."""
        lows, highs = zip(*self._bins(), strict=True)
        names = ("count",) if len(self.counts) == 1 else tuple(self.counts)
        rows = tuple(zip(lows, highs, *self.counts.values(), strict=True))
        return Table(self.name, self.title, (f"{self.x}, from", "to", *names), rows)

    def told(self) -> str:
        """Return what the picture shows, in words and numbers."""
        said = [f"{series}: {self._told(counts)}" for series, counts in self.counts.items()]
        scale = ", counts on a log scale" if self.is_steep() else ""
        bins = counted(len(self.edges) - 1, "bin")
        return f"Histogram of {self.x} in {bins} from {shown(self.edges[0])} to {shown(self.edges[-1])}{scale}. " + (
            listed(said, "series")
        )

    def size(self) -> tuple[float, float]:
        """Return how wide and high the picture is, in inches."""
        return (7.6, 3.3) if is_above(self.counts) else (9.0, height_for(self.counts, 3.3))

    def draw(self, axes: "Axes") -> None:
        """Change axes so that they show the counts as steps, those of the first series filled."""
        is_steep = self.is_steep()
        floor = FLOOR / 2 if is_steep else 0
        first, *_ = self.counts.values()
        axes.stairs(_raised(first, floor), self.edges, fill=True, alpha=0.25, color=colour(0), baseline=floor)
        drawn = {}
        for number, (series, counts) in enumerate(self.counts.items()):
            look: dict[str, Any] = {"color": colour(number), "linestyle": DASHES[number % len(DASHES)]}
            drawn[series] = axes.stairs(_raised(counts, floor), self.edges, baseline=floor, linewidth=1.4, **look)
        tidy(axes)
        name_axes(axes, self.x, "count (log scale)" if is_steep else "count")
        most = max(map(max, self.counts.values()))
        spell_out(axes.xaxis)
        if is_steep:
            axes.set_yscale("log")
            axes.set_ylim(FLOOR, most * 2)
            axes.yaxis.set_major_formatter("{x:,.0f}")  # powers of ten need math, which is off
        else:
            axes.set_ylim(0, most * 1.08 or 1)
            spell_out(axes.yaxis, whole=True)
        add_legend(axes, drawn, known="count")

    def is_steep(self) -> bool:
        """Return whether one bin would make the others vanish: the fullest has over 100 times the median non-empty."""
        filled = [count for counts in self.counts.values() for count in counts if count]
        return bool(filled) and max(filled) > STEEP * statistics.median(filled)

    def _bins(self) -> list[tuple[float, float]]:
        return list(itertools.pairwise(self.edges))

    def _told(self, counts: Sequence[int]) -> str:
        if not any(counts):
            return "nothing was counted"
        (low, high), most = max(zip(self._bins(), counts, strict=True), key=lambda each: each[1])
        empty = sum(count == 0 for count in counts)
        return (
            f"{sum(counts):,} in all, the fullest bin has {most:,} between {shown(low)} and {shown(high)}, "
            f"{counted(empty, 'bin')} {'is' if empty == 1 else 'are'} empty"
        )


def _raised(counts: Sequence[int], floor: float) -> list[float]:
    """Return counts that a log scale has a place for; what is below it is not seen."""
    return [max(count, floor) for count in counts]
