"""Looks: the colours and the axes that all pictures of figures share.

Series differ in colour, dash and marker at once, whose cycles have no common factor. The colours stay apart for every
kind of colour blindness (the matrices of Machado et al., "A physiologically-based model for simulation of color vision
deficiency", 2009), and have a contrast of at least 3 with the paper; `DARK` are their twins on dark paper.
"""

import textwrap
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

INK, ACCENT, SOFT = "#24292f", "#0b6e99", "#d8dee4"
LIGHT = (ACCENT, "#ca8603", "#831b09", "#9d80f2", "#362da9", "#c0423e", "#0ca18c")
DARK = ("#4fa8d8", "#ffe38a", "#f06306", "#9560d6", "#b9d3fa", "#f2b08f", "#3f8a80")

DASHES: tuple[Any, ...] = ("-", (0, (5, 1.6)), (0, (1.2, 1.4)), (0, (6, 1.5, 1.2, 1.5)))
MARKERS = "osD^vPX<>"

SETTINGS: Any = {  # of matplotlib, whose names differ between versions
    "svg.hashsalt": "elastic",  # the same picture gets the same ids
    "text.parse_math": False,  # a dollar in a name is a dollar
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.titlesize": 11,
    "axes.titlepad": 10,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.axisbelow": True,
    "hatch.linewidth": 0.6,
    "figure.constrained_layout.h_pad": 0.08,  # inches
    "figure.constrained_layout.w_pad": 0.08,
}
MOST_ABOVE, LONGEST_ABOVE, LONGEST_NAME = 4, 70, 42  # names in a legend above the axes, their characters; of one name


def tidy(axes: "Axes") -> None:
    """Change axes so that they have a soft grid and no frame."""
    axes.grid(color=SOFT, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def colour(number: int) -> str:
    """Return the colour of a series."""
    return LIGHT[number % len(LIGHT)]


def line_of(number: int) -> dict[str, Any]:
    """Return how the line of a series is drawn."""
    return {"color": colour(number), "linestyle": DASHES[number % len(DASHES)], "linewidth": 1.6}


def marker_of(number: int) -> dict[str, Any]:
    """Return how the points of a series are drawn."""
    return {"color": colour(number), "marker": MARKERS[number % len(MARKERS)], "markersize": 4.5}


def shortened(name: str, most: int = LONGEST_NAME) -> str:
    """Return a name without its middle if it is long: what tells layers apart is at its end."""
    head = most // 3
    return name if len(name) <= most else f"{name[:head]}…{name[-(most - head - 1) :]}"


def add_legend(axes: "Axes", series: Mapping[str, Any], known: str = "") -> None:
    """Change axes so that series, by name, are named outside: above where that fits on a line, else to the right.

    A single series whose name is already known needs no legend.
    """
    if list(series) == [known]:
        return
    marks, names = list(series.values()), [shortened(name) for name in series]
    looks: dict[str, Any] = {"frameon": False, "fontsize": 8.5, "handlelength": 2.6, "borderaxespad": 0}
    if is_above(names):
        axes.legend(marks, names, loc="lower left", bbox_to_anchor=(0, 1.02), ncols=len(names), borderpad=0.2, **looks)
    else:
        axes.legend(marks, names, loc="upper left", bbox_to_anchor=(1.01, 1), **looks)


def is_above(names: Iterable[str]) -> bool:
    """Return whether the names of series fit on a line above the axes."""
    lengths = [len(name) + 5 for name in names]
    return len(lengths) <= MOST_ABOVE and sum(lengths) <= LONGEST_ABOVE


def height_for(names: Iterable[str], least: float) -> float:
    """Return the inches that a picture needs in height for the names of its series."""
    return max(least, 0.19 * len(list(names)) + 0.9)


def name_axes(axes: "Axes", x: str, y: str) -> None:
    """Change axes so that they say what is on them, in several lines where that is long."""
    axes.set_xlabel(textwrap.fill(x, 90))
    axes.set_ylabel(textwrap.fill(y, 40))


def spell_out(axis: "Axis", *, whole: bool = False) -> None:
    """Change an axis so that large numbers on it are read without counting zeros; `whole` if it has no parts of one."""
    from matplotlib.ticker import EngFormatter, StrMethodFormatter

    axis.get_major_locator().set_params(integer=whole)  # type: ignore[call-arg]
    most = max(map(abs, axis.get_view_interval()))
    if most >= 1e5:
        axis.set_major_formatter(EngFormatter(sep=" "))
    elif most >= 1e3:
        axis.set_major_formatter(StrMethodFormatter("{x:,g}"))


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty figure, in inches, that needs no screen."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure
