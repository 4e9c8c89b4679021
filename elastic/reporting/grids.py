"""Grids: a table of figures as HTML; behind each number that is shown stands the number itself."""

from elastic.reporting.markup import Markup, element, joined
from elastic.reporting.numbers import Cell, column, is_number
from elastic.reporting.tables import Table


def grid(table: Table) -> Markup:
    """Return a table that scrolls by itself where it is wider than the page.

    Columns of numbers stand at the right; a first column of text names its rows.
    """
    columns = [column([row[place] for row in table.rows]) for place in range(len(table.heads))]
    right = [any(is_number(row[place]) for row in table.rows) for place in range(len(table.heads))]
    heads = [_head(head, at_right) for head, at_right in zip(table.heads, right, strict=True)]
    rows = [_row(row, [texts[number] for texts in columns], right) for number, row in enumerate(table.rows)]
    whole = element(
        "table",
        element("caption", table.title),
        element("thead", element("tr", *heads)),
        element("tbody", joined(rows, "\n")),
    )
    return element("div", whole, class_="wide", tabindex="0", role="group", aria_label=f"Table: {table.title}")


def _head(text: str, at_right: bool) -> Markup:
    return element("th", text, scope="col", **({"class_": "number"} if at_right else {}))


def _row(row: tuple[Cell, ...], texts: list[str], right: list[bool]) -> Markup:
    cells = [_cell(value, text, at_right) for value, text, at_right in zip(row, texts, right, strict=True)]
    if isinstance(row[0], str) and not right[0]:
        cells[0] = element("th", texts[0], scope="row")
    return element("tr", *cells)


def _cell(value: Cell, text: str, at_right: bool) -> Markup:
    shown = element("data", text, value=repr(value)) if is_number(value) else text
    return element("td", shown, **({"class_": "number"} if at_right else {}))
