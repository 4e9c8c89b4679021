"""Reports: what a page says, as plain data; start reading here.

A part is one table or picture, and each kind of part knows how it is checked, written as records, drawn and told: to
add a kind is to add a file and to name it here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from elastic.errors import InvalidReport
from elastic.reporting.bars import Bars
from elastic.reporting.curves import Curves
from elastic.reporting.heat_maps import HeatMap
from elastic.reporting.histograms import Histogram
from elastic.reporting.tables import Table

Picture = Curves | Bars | HeatMap | Histogram
Part = Table | Curves | Bars | HeatMap | Histogram

NAME = re.compile("[a-z0-9-]+")


@dataclass(frozen=True)
class Section:
    """Paragraphs of text, with blank lines between them, then tables and pictures."""

    title: str
    text: str
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True)
class Report:
    """A page: its lead says in one or two sentences what was done and what came out; `settings` how it was done."""

    title: str
    lead: str
    sections: tuple[Section, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def parts(self) -> tuple[Part, ...]:
        """All tables and pictures, in order."""
        return tuple(part for section in self.sections for part in section.parts)

    def check(self) -> None:
        """Raise InvalidReport if a part can't be shown, or can't be a file of its own."""
        seen = set()
        for part in self.parts:
            if not NAME.fullmatch(part.name):
                raise InvalidReport(
                    f"{part.name!r} can't name a {part.KIND}: its files are called so; use a-z, 0-9 and - only"
                )
            if part.name in seen:
                raise InvalidReport(f"two parts of the report are called {part.name!r}; give each a name of its own")
            seen.add(part.name)
            part.check()
