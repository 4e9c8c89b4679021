"""CSV files: the figures of a part as they are, for programs and spreadsheets."""

import csv
import io

from elastic.reporting.numbers import Cell
from elastic.reporting.tables import Table


def csv_of(table: Table) -> str:
    """Return the text of a file: heads, then rows; numbers with all their digits, nothing where they are missing."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(table.heads)
    writer.writerows([_text(cell) for cell in row] for row in table.rows)
    return file.getvalue()


def _text(cell: Cell) -> str:
    return "" if cell is None else cell if isinstance(cell, str) else repr(cell)
