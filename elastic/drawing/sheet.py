"""The sheet: a network from top to bottom, written as SVG with nothing but the standard library.

The same plan gives the same bytes everywhere.
"""

from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, indent, tostring

from elastic.diagnosing import obstacles, ties
from elastic.drawing.colours import FROZEN, MIXED, PAPER, colours_of
from elastic.drawing.elements import (
    CHARACTER,
    MARK_WIDTH,
    STYLE,
    add,
    add_bar,
    add_edge,
    add_hatching,
    add_lane,
    add_mark,
    add_node,
    add_text,
    say,
)
from elastic.drawing.layout import MARGIN, TOP, Layout, layout_of
from elastic.drawing.rows import PRODUCTS, Row, rows_of
from elastic.drawing.wording import HEADS, columns_of, notes, summary, tooltip
from elastic.errors import PathError, PlanMismatch
from elastic.metadata.replacing import replacing
from elastic.plan import NEVER, Plan


def draw(plan: Plan, path: str | Path, *, title: str = "network", overwrite: bool = False) -> None:
    """Write a picture of a network as SVG: its layers in forward order, their widths, what leaves together.

    The same plan gives the same bytes.

    Raises PlanMismatch if the plan has no `layers`, PathError if the file can't be written or isn't to be an .svg,
    OutputExists if it is there and may not be overwritten.
    """
    if Path(path).suffix != ".svg":
        raise PathError(f"{path} would be an .svg file; give it a name that ends so")
    text = picture(plan, title)
    with replacing(path, overwrite) as file:
        file.write(text.encode())


def picture(plan: Plan, title: str) -> str:
    """Return the text of the picture that `draw` writes.

    Raises PlanMismatch if the plan has no `layers`.
    """
    if not plan.layers:
        raise PlanMismatch(
            "the plan has no layers to draw: elastic files don't keep them, and the torch-pruning engine doesn't say; "
            "trace the model with the elastic engine"
        )
    rows, held, groups = rows_of(plan), obstacles(plan), ties(plan)
    numbers = {home: number for number, each in enumerate(held) for home in each.axes}
    words = columns_of(rows, numbers)
    layout = layout_of(rows, words, HEADS)
    colours = colours_of([len(tie.makers or ()) > 1 for tie in groups])
    said, foot = summary(plan, groups, rows), notes(held, int((layout.width - 2 * MARGIN - 30) / CHARACTER))
    height = layout.bottom + 44 + 16 * (len(foot) + 1) + MARGIN
    root = Element("svg", _frame(layout.width, height))
    add(root, "title", title, id="title")
    add(root, "desc", f"A network in forward order from top to bottom: {said}.", id="desc")
    add(root, "style", STYLE)
    add_hatching(root)
    add(root, "rect", width=layout.width, height=height, fill=PAPER, rx=8)
    _head(root, layout, title, said)
    _bands(root, layout, rows)
    _edges(root, layout, rows, colours)
    for number, row in enumerate(rows):
        group = add(root, "g")
        add(group, "title", tooltip(row, groups, held, numbers))
        _row(group, layout, number, row, words[number], colours)
    _foot(root, layout.bottom + 40, foot)
    indent(root, " ")
    return tostring(root, encoding="unicode") + "\n"


def _frame(width: float, height: float) -> dict[str, str]:
    return {
        "xmlns": "http://www.w3.org/2000/svg", "width": say(width), "height": say(height),
        "viewBox": f"0 0 {say(width)} {say(height)}", "role": "img", "aria-labelledby": "title desc",
    }  # fmt: skip


def _head(root: Element, layout: Layout, title: str, text: str) -> None:
    add_text(root, MARGIN, MARGIN + 4, title, "title")
    add_text(root, MARGIN, MARGIN + 26, text, "muted")
    _key(root, MARGIN, MARGIN + 50)
    for x, head in zip(layout.columns, HEADS, strict=False):
        add_text(root, x, TOP - 14, head, "muted")
    add_text(root, layout.bars, TOP - 14, "width (square root)", "muted")
    add(root, "path", class_="rule", d=f"M{say(MARGIN)} {say(TOP - 4)}H{say(layout.width - MARGIN)}")


def _key(root: Element, left: float, y: float) -> None:
    """Explain the colours and signs in two lines."""
    strong, pale = colours_of([True, True]), colours_of([False, False])
    x = left
    for colours, text in (
        (strong, "of one colour: tied, lose the same channels"),
        (pale, "leave alone"),
        ([None], "frozen"),
    ):
        for colour in colours:
            x = add_bar(root, x, y, [(14.0, colour)], 11.0) + 2
        x = add_text(root, x + 4, y, text, "muted") + 16
    x, y = left, y + 20
    for kind in ("norm", "activation"):
        add_mark(root, x, y, kind)
        x = add_text(root, x + MARK_WIDTH + 2, y, kind, "muted") + 16
    for kind in ("add", "multiply", "cat", "attention"):
        add_node(root, x + 6, y, kind, PAPER)
        x = add_text(root, x + 16, y, kind, "muted") + 16


def _bands(root: Element, layout: Layout, rows: Sequence[Row]) -> None:
    """Shade every other block of the network."""
    is_shaded, block = False, None
    for row, y, height in zip(rows, layout.ys, layout.heights, strict=True):
        if row.block != block:
            is_shaded, block = not is_shaded, row.block
        if is_shaded:
            box = {"x": MARGIN / 2, "y": y - height / 2, "width": layout.width - MARGIN, "height": height}
            add(root, "rect", class_="band", **box)


def _edges(root: Element, layout: Layout, rows: Sequence[Row], colours: Sequence[str]) -> None:
    x, ys = layout.spine, layout.ys
    for lane in sorted(layout.lanes, key=lambda each: -each.number):
        colour = colour_of(rows[lane.source], colours)
        add_lane(root, (x, layout.lane(lane)), ys[lane.source], [ys[target] for target in lane.targets], colour)
    for number, row in enumerate(rows):
        if number - 1 in row.inputs:
            add_edge(root, f"M{say(x)} {say(ys[number - 1])}V{say(ys[number])}", colour_of(rows[number - 1], colours))
        elif not row.inputs:  # from outside
            add_edge(root, f"M{say(x - 12)} {say(ys[number] - 6)}q10 0 12 6", MIXED)


def colour_of(row: Row, colours: Sequence[str]) -> str:
    """Return the colour of what flows out of a row: that of its group, where it is of one."""
    if len(row.parts) == 1:
        return FROZEN if row.parts[0].group == NEVER else colours[row.parts[0].group]
    return MIXED if row.parts else FROZEN


def _row(root: Element, layout: Layout, number: int, row: Row, words: Sequence[str], colours: Sequence[str]) -> None:
    y, is_layer = layout.ys[number], row.kind in PRODUCTS
    for place, mark in enumerate(reversed(row.before)):
        add_mark(root, layout.bars - MARK_WIDTH * (place + 1) - 2, y, mark)
    x = layout.bars
    if row.width:
        scale = layout.length(row.width) / row.width
        parts = [(part.channels * scale, None if part.group == NEVER else colours[part.group]) for part in row.parts]
        x = add_bar(root, x, y, parts, 13.0 if is_layer else 4.0)
    for place, mark in enumerate(row.after):
        add_mark(root, x + 4 + MARK_WIDTH * place, y, mark)
    add_node(root, layout.spine, y, row.kind, colour_of(row, colours))
    for column, (text, start) in enumerate(zip(words, layout.columns, strict=False)):
        add_text(root, start, y, text, "" if is_layer and column < 2 else "muted")


def _foot(root: Element, y: float, lines: Sequence[tuple[str, str, bool]]) -> None:
    if lines:
        add_text(root, MARGIN, y, "what is frozen, and what would have to change to free it")
    for number, (mark, text, is_advice) in enumerate(lines):
        add_text(root, MARGIN, y + 20 + 16 * number, mark)
        add_text(root, MARGIN + 30, y + 20 + 16 * number, text, "muted" if is_advice else "")
