"""Tables: figures as rows; all other parts of a report can be read as one."""

from dataclasses import dataclass
from typing import ClassVar

from elastic.errors import InvalidReport
from elastic.reporting.numbers import Cell


@dataclass(frozen=True)
class Table:
    """Rows of text and numbers under heads; None is a number that is missing."""

    KIND: ClassVar = "table"

    name: str
    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""

    def check(self) -> None:
        """Raise InvalidReport if there are no heads, or if a row has another length."""
        if not self.heads:
            raise InvalidReport(f"table {self.name} has no heads; name its columns")
        for number, row in enumerate(self.rows):
            if len(row) != len(self.heads):
                raise InvalidReport(
                    f"table {self.name} has {len(self.heads)} heads, but row {number} has {len(row)} cells; give one "
                    "for each head, None where there is nothing"
                )

    def records(self) -> "Table":
        """Return what the CSV file holds: the table itself."""
        return self
