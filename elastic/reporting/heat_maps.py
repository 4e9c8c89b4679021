"""Heat maps: a number for each of many things at each of several steps, as what is left of each layer by round."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from elastic.errors import InvalidReport
from elastic.reporting.looks import INK, add_legend, colour, name_axes, shortened
from elastic.reporting.numbers import Cell, shown
from elastic.reporting.tables import Table
from elastic.reporting.telling import counted, spanned

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PALEST, FULLEST = 0.06, 0.58  # of the colour, for the least and the most: a contrast of 4.5 with numbers on it
MOST_SHOWN = 140  # cells that have their number in them
MOST_LABELLED = 60  # rows or columns; of more, every second, third or so has its label
LONGEST_LABEL = 30  # characters
CHARACTER, ROW, COLUMN = 0.082, 0.24, 0.55  # inches: of a label's letter, and of a cell
NARROWEST, WIDEST, LOWEST, HIGHEST = 7.6, 13.0, 2.4, 14.0


@dataclass(frozen=True)
class HeatMap:
    """Rows of numbers by label, one in each column; the more, the fuller the colour. None is missing, a cross.

    `x` says what the columns are, `y` what the rows are, `value` what the numbers are, with the unit.
    """

    KIND: ClassVar = "heat-map"

    name: str
    title: str
    x: str
    y: str
    value: str
    columns: tuple[str, ...]
    rows: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]
    note: str = ""

    def check(self) -> None:
        """Raise InvalidReport if there are no rows or columns, or if values are not one for each of both."""
        if not self.rows or not self.columns:
            raise InvalidReport(f"heat map {self.name} has no {'columns' if self.rows else 'rows'}; leave it out")
        if len(self.values) != len(self.rows):
            raise InvalidReport(f"heat map {self.name} has {len(self.rows)} labels, but {len(self.values)} rows")
        for label, row in zip(self.rows, self.values, strict=True):
            if len(row) != len(self.columns):
                raise InvalidReport(
                    f"heat map {self.name} has {len(self.columns)} columns, but row {label!r} has {len(row)} values; "
                    "give one for each column, None where there is nothing"
                )

    def records(self) -> Table:
        """Return what the CSV file holds: a row for each cell."""
        cells = tuple(
            (label, column, value)
            for label, row in zip(self.rows, self.values, strict=True)
            for column, value in zip(self.columns, row, strict=True)
        )
        return Table(self.name, self.title, ("row", "column", "value"), cells)

    def numbers(self) -> Table:
        """Return the numbers as people read them: as they stand in the picture."""
        rows: tuple[tuple[Cell, ...], ...] = tuple(
            (label, *row) for label, row in zip(self.rows, self.values, strict=True)
        )
        return Table(self.name, self.title, (self.y, *self.columns), rows)

    def told(self) -> str:
        """Return what the picture shows, in words and numbers: the last column, row by row."""
        last = [(row[-1], label) for label, row in zip(self.rows, self.values, strict=True)]
        known = [(value, label) for value, label in last if value is not None]
        end = f"{self.x} {self.columns[-1]}: {spanned(known) if known else 'all of them missing'}."
        size = f"{counted(len(self.rows), 'row')} by {self.y}, {counted(len(self.columns), 'column')} by {self.x}"
        return f"{self.value}, {size}. {end}"

    def size(self) -> tuple[float, float]:
        """Return how wide and high the picture is, in inches."""
        label = max(len(shortened(each, LONGEST_LABEL)) for each in self.rows) * CHARACTER
        wide = min(WIDEST, max(NARROWEST, label + 1.2 + COLUMN * len(self.columns)))
        return wide, min(HIGHEST, max(LOWEST, 1.4 + ROW * len(self.rows)))

    def draw(self, axes: "Axes") -> None:
        """Change axes so that they show the cells, the first row above."""
        from matplotlib.patches import Patch, Rectangle

        has_numbers = len(self.rows) * len(self.columns) <= MOST_SHOWN
        for y, row in enumerate(self.values):
            for x, value in enumerate(row):
                if value is None:
                    axes.plot([x], [y], "x", markersize=4, color=INK)
                    continue
                axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, color=colour(0), alpha=self._fullness(value), lw=0))
                if has_numbers:
                    axes.text(x, y, shown(float(f"{value:.3g}")), ha="center", va="center", fontsize=7.5)
        axes.set_xlim(-0.5, len(self.columns) - 0.5)
        axes.set_ylim(len(self.rows) - 0.5, -0.5)
        self._label(axes)
        name_axes(axes, self.x, self.y)
        ends = {shown(value): Patch(color=colour(0), alpha=self._fullness(value), lw=0) for value in self._ends()}
        add_legend(axes, {f"{self.value}: {text}": patch for text, patch in ends.items()})

    def _label(self, axes: "Axes") -> None:
        for axis, labels in ((axes.xaxis, self.columns), (axes.yaxis, self.rows)):
            step = -(-len(labels) // MOST_LABELLED)
            shown_labels = [shortened(label, LONGEST_LABEL) for label in labels[::step]]
            axis.set_ticks(range(0, len(labels), step), shown_labels, fontsize=8)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        longest = max(len(shortened(label, LONGEST_LABEL)) for label in self.columns)
        if longest * CHARACTER > COLUMN or len(self.columns) > (WIDEST - 3) / COLUMN:
            axes.tick_params(axis="x", rotation=90)

    def _fullness(self, value: float) -> float:
        low, high = self._ends()
        share = (value / 2 - low / 2) / (high / 2 - low / 2) if high > low else 1.0  # halves: huge ones stay finite
        return PALEST + (FULLEST - PALEST) * share

    def _ends(self) -> tuple[float, ...]:
        """Return the least and the most of the numbers; none where all are missing."""
        known = [value for row in self.values for value in row if value is not None]
        return (min(known), max(known)) if known else ()
