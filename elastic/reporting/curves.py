"""Curves: what changes with something, one line for each of what is compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from elastic.errors import InvalidReport
from elastic.reporting.looks import add_legend, height_for, is_above, line_of, marker_of, name_axes, spell_out, tidy
from elastic.reporting.numbers import Cell, shown
from elastic.reporting.tables import Table
from elastic.reporting.telling import counted, listed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Line = Sequence[tuple[float, float | None]]

MOST_MARKED = 32  # points of a line that each get a marker; longer lines, and many, have a marker now and then
MOST_LINES = 4
NOW_AND_THEN = 9  # markers of such a line


@dataclass(frozen=True)
class Curves:
    """Lines by name, each of points (x, y); a y of None is missing and leaves a gap.

    `x` and `y` say what is on the axes, with the unit. Lines of `has_markers_only` are points without a line.
    """

    KIND: ClassVar = "curves"

    name: str
    title: str
    x: str
    y: str
    lines: Mapping[str, Line]
    has_markers_only: frozenset[str] = frozenset()
    note: str = ""

    def check(self) -> None:
        """Raise InvalidReport if there is no line, a line without points, or a name that no line has."""
        if not self.lines:
            raise InvalidReport(f"curves {self.name} have no lines; leave them out of the report")
        for line, points in self.lines.items():
            if not points:
                raise InvalidReport(f"line {line!r} of curves {self.name} has no points; leave it out")
        if unknown := sorted(self.has_markers_only - set(self.lines)):
            raise InvalidReport(
                f"curves {self.name} are to show {unknown[0]!r} as points, but its lines are {', '.join(self.lines)}"
            )

    def records(self) -> Table:
        """Return what the CSV file holds: a row for each point."""
        rows = tuple((line, x, y) for line, points in self.lines.items() for x, y in points)
        return Table(self.name, self.title, ("line", "x", "y"), rows)

    def numbers(self) -> Table:
        """Return the numbers as people read them: a column for each line where all lines share their x."""
        shared, *others = [[x for x, _ in points] for points in self.lines.values()]
        if any(xs != shared for xs in others):
            return Table(self.name, self.title, ("line", self.x, self.y), self.records().rows)
        heads = (self.x, self.y) if len(self.lines) == 1 else (self.x, *self.lines)
        columns = [[y for _, y in points] for points in self.lines.values()]
        return Table(self.name, self.title, heads, tuple(zip(map(_whole, shared), *columns, strict=True)))

    def told(self) -> str:
        """Return what the picture shows, in words and numbers."""
        said = [f"{name}: {_told(points)}" for name, points in self.lines.items()]
        return f"{self.y} against {self.x}, {counted(len(self.lines), 'line')}. {listed(said, 'lines')}"

    def size(self) -> tuple[float, float]:
        """Return how wide and high the picture is, in inches."""
        return (7.6, 3.6) if is_above(self.lines) else (9.0, height_for(self.lines, 3.6))

    def draw(self, axes: "Axes") -> None:
        """Change axes so that they show the lines."""
        drawn = {}
        for number, (name, points) in enumerate(self.lines.items()):
            ys = [float("nan") if y is None else y for _, y in points]
            look = line_of(number) | marker_of(number) | {"markevery": self._marked(number, len(points))}
            if name in self.has_markers_only:
                look |= {"linestyle": "none", "markevery": 1, "markersize": 6.5}
            (drawn[name],) = axes.plot([x for x, _ in points], ys, **look)
        tidy(axes)
        name_axes(axes, self.x, self.y)
        spell_out(axes.xaxis, whole=all(x == int(x) for points in self.lines.values() for x, _ in points))
        spell_out(axes.yaxis)
        add_legend(axes, drawn, known=self.y)

    def _marked(self, number: int, points: int) -> tuple[int, int]:
        """Return the first point of a line with a marker, and the steps between them: other lines begin elsewhere."""
        if points <= NOW_AND_THEN or (points <= MOST_MARKED and len(self.lines) <= MOST_LINES):
            return 0, 1
        step = -(-points // NOW_AND_THEN)
        return number * step // len(self.lines), step


def _told(points: Line) -> str:
    known = [(y, x) for x, y in points if y is not None]
    missing = f", {len(points) - len(known)} missing" if len(known) < len(points) else ""
    if not known:
        return f"{counted(len(points), 'point')}, all of them missing"
    (first, start), (last, end) = known[0], known[-1]
    if len(known) == 1:
        return f"{_at(first, start)}{missing}"
    low, high = min(known), max(known)
    return (
        f"{counted(len(points), 'point')}{missing}, from {_at(first, start)} to {_at(last, end)}; "
        f"least {_at(*low)}, most {_at(*high)}"
    )


def _at(y: float, x: float) -> str:
    return f"{shown(y)} at {shown(_whole(x))}"


def _whole(x: float) -> Cell:
    """Return an epoch, a count or another whole number as such."""
    return int(x) if x == int(x) and abs(x) < 2**53 else x
