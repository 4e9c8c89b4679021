"""Pictures: a part drawn for the page, and as files that stand alone. The same part gives the same bytes."""

import io
import textwrap
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from elastic.reporting.looks import INK, SETTINGS, new_figure
from elastic.reporting.parts import Picture, Report
from elastic.reporting.tables import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 144
CHARACTERS = 10.5  # of a title, on an inch


@dataclass(frozen=True)
class Drawn:
    """A picture as files with their title and on white paper, and as SVG on none for a page that has the title."""

    svg: bytes
    png: bytes
    bare: str


def drawn_parts(report: Report) -> dict[str, Drawn]:
    """Return the pictures of a report, by the name of their part."""
    return {part.name: draw(part) for part in report.parts if not isinstance(part, Table)}


def draw(part: Picture) -> Drawn:
    """Return the picture of a part, whatever the user's own settings of matplotlib are."""
    import matplotlib

    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # a name in letters that the font lacks is no reason to stop
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(SETTINGS)
        figure = new_figure(*part.size())
        layout = figure.get_layout_engine()
        assert layout is not None
        figure.set_layout_engine(None)  # with one, each saving would draw all of it twice
        part.draw(figure.subplots())
        layout.execute(figure)
        bare = _svg(figure, transparent=True).decode()
        title = textwrap.fill(part.title, int(CHARACTERS * figure.get_figwidth()))
        figure.suptitle(title, color=INK, fontsize=11, fontweight="bold", x=0.015, ha="left")
        layout.execute(figure)
        return Drawn(_svg(figure), _png(figure), bare)


def _svg(figure: "Figure", *, transparent: bool = False) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="svg", transparent=transparent, metadata={"Date": None, "Creator": None})
    return file.getvalue()


def _png(figure: "Figure") -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=DPI, metadata={"Software": None})
    return file.getvalue()
