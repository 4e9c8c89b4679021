"""SVG as text: elements, and the few shapes that a picture of a network is made of."""

import re
from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement

from elastic.drawing.colours import BAND, FAINT, FROZEN, INK, MUTED, PAPER

CHARACTER = 6.65  # pixels that a character of 11 px in a monospaced font is wide
FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"

STYLE = f"""
text {{ font: 11px {FONT}; fill: {INK}; }}
.title {{ font-size: 15px; font-weight: bold; }}
.muted {{ fill: {MUTED}; }}
.band {{ fill: {BAND}; }}
.edge {{ fill: none; stroke-width: 1.7; }}
.halo {{ fill: none; stroke: {PAPER}; stroke-width: 4; }}
.mark {{ fill: none; stroke: {MUTED}; stroke-width: 1.3; stroke-linejoin: round; }}
.sign {{ fill: none; stroke: {INK}; stroke-width: 1.3; }}
.node {{ stroke: {PAPER}; stroke-width: 1; }}
.join {{ fill: {PAPER}; stroke: {INK}; stroke-width: 1.1; }}
.frozen {{ fill: url(#frozen); stroke: {FROZEN}; stroke-width: 0.7; }}
.rule {{ stroke: {FAINT}; stroke-width: 1; }}
"""

UNPRINTABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # what XML has no place for

MARK_WIDTH = 11


def add(parent: Element, tag: str, text: str = "", /, **attributes: object) -> Element:
    """Return a new element within another; an attribute's underscores become hyphens, `class_` is `class`."""
    element = SubElement(parent, tag, {name.strip("_").replace("_", "-"): say(v) for name, v in attributes.items()})
    if text:
        element.text = say(text)
    return element


def say(value: object) -> str:
    """Return a value as it stands in SVG: numbers to a hundredth, without what XML has no place for."""
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return UNPRINTABLE.sub("\ufffd", str(value))


def text_width(text: str) -> float:
    """Return about how wide a text of 11 px is."""
    return CHARACTER * len(text)


def add_text(parent: Element, x: float, y: float, text: str, kind: str = "") -> float:
    """Draw a line of text whose middle is at y; return about where it ends."""
    # An offset rather than `dominant-baseline`, which renderers take in different ways.
    if text:
        add(parent, "text", text, x=x, y=y + 4, **({"class_": kind} if kind else {}))
    return x + text_width(text)


def add_hatching(root: Element) -> None:
    """Change a picture so that `url(#frozen)` is a grey hatching."""
    box = {"width": 5, "height": 5, "patternUnits": "userSpaceOnUse", "patternTransform": "rotate(45)"}
    pattern = add(add(root, "defs"), "pattern", id="frozen", **box)
    add(pattern, "rect", width=5, height=5, fill="#eef1f4")
    add(pattern, "rect", width=1.6, height=5, fill="#afb8c1")


def add_bar(parent: Element, x: float, y: float, lengths: Sequence[tuple[float, str | None]], height: float) -> float:
    """Draw a bar of parts, each a length and a colour, None for frozen; return where it ends."""
    for length, colour in lengths:
        box = {"x": x, "y": y - height / 2, "width": length, "height": height}
        add(parent, "rect", **box, **({"class_": "frozen"} if colour is None else {"fill": colour}))
        x += length
    return x


def add_edge(parent: Element, path: str, colour: str, *, over: bool = False) -> None:
    """Draw an edge; over others, with paper on both sides of it."""
    if over:
        add(parent, "path", class_="halo", d=path)
    add(parent, "path", class_="edge", d=path, stroke=colour)


def add_lane(parent: Element, xs: tuple[float, float], start: float, ends: Sequence[float], colour: str) -> None:
    """Draw edges from the spine at one place to later ones, through a lane; `xs` are those of spine and lane.

    They leave below the middle of a row and come in above that of another.
    """
    spine, lane = xs
    turn = min(5.0, spine - lane)
    top, bottom = start + 2, ends[-1] - 2
    begin = f"M{say(spine)} {say(top)}H{say(lane + turn)}Q{say(lane)} {say(top)} {say(lane)} {say(top + turn)}"
    add_edge(parent, f"{begin}V{say(bottom - turn)}", colour, over=True)
    for end in ends:
        bend = f"Q{say(lane)} {say(end - 2)} {say(lane + turn)} {say(end - 2)}"
        add_edge(parent, f"M{say(lane)} {say(end - 2 - turn)}{bend}H{say(spine)}", colour)


def add_mark(parent: Element, x: float, y: float, kind: str) -> None:
    """Draw the small sign of a norm (a bell) or an activation (a ramp), which begins at x."""
    if kind == "norm":
        path = f"M{say(x)} {say(y + 4)} c3.5 0 2.5 -8 4.5 -8 s1 8 4.5 8"
    else:
        path = f"M{say(x)} {say(y + 4)} h4 l4.5 -8"
    add(parent, "path", class_="mark", d=path)


def add_node(parent: Element, x: float, y: float, kind: str, colour: str) -> None:
    """Draw where a row sits on the spine: a dot for a layer, a sign in a circle for what joins."""
    signs = {
        "add": "M-3 0h6M0 -3v6",
        "multiply": "M-2.3 -2.3l4.6 4.6M-2.3 2.3l4.6 -4.6",
        "cat": "M-2.6 -1.6h5.2M-2.6 1.6h5.2",
    }
    if kind in signs:
        add(parent, "circle", class_="join", cx=x, cy=y, r=5.6)
        add(parent, "path", class_="sign", d=signs[kind], transform=f"translate({say(x)} {say(y)})")
    elif kind == "attention":
        add(parent, "path", class_="join", d="M0 -6.5L6.5 0L0 6.5L-6.5 0Z", transform=f"translate({say(x)} {say(y)})")
    else:
        add(parent, "circle", class_="node", cx=x, cy=y, r=4.2, fill=colour)
