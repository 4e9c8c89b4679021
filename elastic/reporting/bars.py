"""Bars: one number for each of many things, as a density for every layer."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from elastic.errors import InvalidReport
from elastic.reporting.looks import INK, add_legend, colour, height_for, is_above, name_axes, shortened, spell_out, tidy
from elastic.reporting.numbers import column
from elastic.reporting.tables import Table
from elastic.reporting.telling import counted, listed, spanned

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_LABELLED = 60  # bars; of more, every second, third or so has its label
MOST_VALUED = 12  # bars that have their number above them
LONGEST_LABEL = 30  # characters
CHARACTER = 0.082  # inches that one of a label takes, about
NARROWEST, WIDEST = 7.6, 13.0  # pictures, in inches
ROOM = 0.12  # of the span of the bars, beyond them
FILLED = 0.82  # of the room that a label has
HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\")


@dataclass(frozen=True)
class Bars:
    """One or several series with a number for each label; None is missing, a cross.

    `x` says what the labels are, `y` what the numbers are, with the unit.
    """

    KIND: ClassVar = "bars"

    name: str
    title: str
    x: str
    y: str
    labels: tuple[str, ...]
    values: Mapping[str, Sequence[float | None]]
    note: str = ""

    def check(self) -> None:
        """Raise InvalidReport if there are no labels or series, or if a series has another length."""
        if not self.labels or not self.values:
            raise InvalidReport(f"bars {self.name} have no {'series' if self.labels else 'labels'}; leave them out")
        for series, values in self.values.items():
            if len(values) != len(self.labels):
                raise InvalidReport(
                    f"bars {self.name} have {len(self.labels)} labels, but series {series!r} has {len(values)} values; "
                    "give one for each label, None where there is nothing"
                )

    def records(self) -> Table:
        """Return what the CSV file holds: a row for each bar."""
        rows = tuple(
            (label, series, value)
            for series, values in self.values.items()
            for label, value in zip(self.labels, values, strict=True)
        )
        return Table(self.name, self.title, ("label", "series", "value"), rows)

    def numbers(self) -> Table:
        """Return the numbers as people read them: a row for each label, a column for each series."""
        heads = (self.x, self.y) if len(self.values) == 1 else (self.x, *self.values)
        return Table(self.name, self.title, heads, tuple(zip(self.labels, *self.values.values(), strict=True)))

    def told(self) -> str:
        """Return what the picture shows, in words and numbers."""
        said = [f"{series}: {self._told(values)}" for series, values in self.values.items()]
        return f"{self.y} of {counted(len(self.labels), 'bar')} by {self.x}. {listed(said, 'series')}"

    def size(self) -> tuple[float, float]:
        """Return how wide and high the picture is, in inches."""
        wide = min(WIDEST, max(NARROWEST, 1.0 + self._room() * len(self.labels)))
        if not is_above(self.values):
            wide += 1.6
        deep = max(map(len, self._shown())) * CHARACTER * math.sin(math.radians(self._angle()))
        return wide, height_for([] if is_above(self.values) else self.values, 3.3) + deep

    def draw(self, axes: "Axes") -> None:
        """Change axes so that they show the bars."""
        thick = FILLED / len(self.values)
        drawn = {}
        for number, (series, values) in enumerate(self.values.items()):
            places = [place - FILLED / 2 + thick * (number + 0.5) for place in range(len(values))]
            heights = [0.0 if value is None else value for value in values]
            look: dict[str, Any] = {"color": colour(number), "hatch": HATCHES[number % len(HATCHES)]}
            drawn[series] = axes.bar(places, heights, thick, edgecolor="#ffffff", linewidth=0, **look)
            if len(values) * len(self.values) <= MOST_VALUED:
                axes.bar_label(drawn[series], column(values), padding=2, fontsize=8)
            elif missing := [place for place, value in zip(places, values, strict=True) if value is None]:
                axes.plot(missing, [0] * len(missing), "x", markersize=4, color=INK, clip_on=False)
        tidy(axes)
        axes.grid(visible=False, axis="x")
        axes.set_xlim(-0.6, len(self.labels) - 0.4)
        axes.set_ylim(*self._span())
        name_axes(axes, self.x, self.y)
        self._label(axes)
        spell_out(axes.yaxis)
        add_legend(axes, drawn, known=self.y)

    def _label(self, axes: "Axes") -> None:
        angle = self._angle()
        turned: dict[str, Any] = {"rotation": angle, "rotation_mode": "anchor", "ha": "right"} if angle else {}
        if angle == 90:
            turned["va"] = "center"
        places = range(0, len(self.labels), self._every())
        axes.set_xticks(places, self._shown(), fontsize=8 if angle < 90 else 7, **turned)
        axes.tick_params(axis="x", length=0)

    def _span(self) -> tuple[float, float]:
        """Return where the axis of numbers begins and ends: with room for a number beyond a bar."""
        known = [0.0, *(value for values in self.values.values() for value in values if value is not None)]
        low, high = min(known), max(known)
        room = ROOM * (high - low)
        return (low - room if low < 0 else 0.0, high + room or 1.0)

    def _every(self) -> int:
        return math.ceil(len(self.labels) / MOST_LABELLED)

    def _shown(self) -> list[str]:
        return [shortened(label, LONGEST_LABEL) for label in self.labels[:: self._every()]]

    def _room(self) -> float:
        """Return the inches that a label has at least."""
        return 0.17 if len(self.values) == 1 else 0.09 * len(self.values) + 0.1

    def _angle(self) -> int:
        """Return by how many degrees labels are turned: as little as their lengths allow."""
        longest = (max(map(len, self._shown())) + 2) * CHARACTER
        room = (NARROWEST - 1) / len(self.labels)
        return 0 if longest <= room else 40 if room >= 0.3 else 90

    def _told(self, values: Sequence[float | None]) -> str:
        known = [(value, label) for label, value in zip(self.labels, values, strict=True) if value is not None]
        missing = f", {len(values) - len(known)} missing" if len(known) < len(values) else ""
        return f"{spanned(known)}{missing}" if known else "all of them missing"
