"""Markup: HTML from values, with everything escaped that is not markup already."""

import html
from collections.abc import Iterable


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Content = str | Markup


def element(tag: str, *content: Content, **attributes: str) -> Markup:
    """Return an element; what is no Markup is escaped. Attributes have hyphens for underscores, `class_` is `class`."""
    named = "".join(
        f' {name.strip("_").replace("_", "-")}="{html.escape(value)}"' for name, value in attributes.items()
    )
    return Markup(f"<{tag}{named}>{joined(content)}</{tag}>")


def void(tag: str, **attributes: str) -> Markup:
    """Return an element that never has content."""
    return Markup(element(tag, **attributes).removesuffix(f"</{tag}>"))


def joined(content: Iterable[Content], between: str = "") -> Markup:
    """Return contents one after another."""
    return Markup(between.join(each if isinstance(each, Markup) else html.escape(each) for each in content))
