"""Inlining: an SVG as an element of a page, whose colours follow the page's and whose ids clash with no other's."""

import re
from xml.etree.ElementTree import Element, fromstring, tostring

from elastic.reporting.looks import INK, LIGHT, SOFT

VARIABLES = {INK: "ink", SOFT: "soft", "#ffffff": "card"} | {each: f"series-{n}" for n, each in enumerate(LIGHT)}
COLOUR = re.compile("#[0-9a-f]{6}")
REFERENCE = re.compile(r"url\(#([^)]*)\)")
LEAST = 0.75  # of its own size; where the screen is narrower, a picture scrolls: smaller, it could not be read
DROPPED = ("metadata", "style")  # who made it; what would hold for the whole page


def inline(svg: str, name: str, label: str) -> str:
    """Return the element for a picture of this name; the label is read out in its place."""
    root = fromstring(svg)
    box = root.get("viewBox", "")
    width = float(box.split()[2]) * 96 / 72  # points -> pixels
    _adapt(root, f"{name}-")
    root.attrib.clear()
    style = f"max-width: {width:.0f}px; min-width: {LEAST * width:.0f}px"
    root.attrib |= {"viewBox": box, "role": "img", "aria-label": label, "style": style}
    return tostring(root, encoding="unicode", short_empty_elements=False)


def _adapt(element: Element, prefix: str) -> None:
    """Change an element and all in it: no namespaces, which HTML doesn't know, own ids, colours of the page."""
    element.tag = _bare(element.tag)
    attributes = {_bare(key): value for key, value in element.attrib.items()}
    if fill := attributes.pop("fill", ""):  # only a style can be a variable
        attributes["style"] = f"fill: {fill}"
    element.attrib = {key: _adapted(key, value, prefix) for key, value in attributes.items()}
    element.text = element.tail = None  # matplotlib draws text as shapes: there are only line ends
    for inner in list(element):
        if _bare(inner.tag) in DROPPED:
            element.remove(inner)
        else:
            _adapt(inner, prefix)


def _adapted(key: str, value: str, prefix: str) -> str:
    if key == "id":
        return prefix + value
    if key == "href":
        return "#" + prefix + value.removeprefix("#")
    value = REFERENCE.sub(rf"url(#{prefix}\1)", value)
    return COLOUR.sub(_variable, value) if key == "style" else value


def _variable(match: re.Match[str]) -> str:
    name = VARIABLES.get(match.group())
    return f"var(--{name})" if name else match.group()


def _bare(name: str) -> str:
    return name.rpartition("}")[2]
