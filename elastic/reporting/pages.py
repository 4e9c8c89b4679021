"""Pages: a report as one HTML file that needs no other, no script and no network.

A page of a folder links to the files beside it. A page alone holds the figures themselves, as JSON in an element that
browsers neither show nor run.
"""

import re
from collections.abc import Mapping
from typing import Any

from elastic.reporting.grids import grid
from elastic.reporting.inlining import inline
from elastic.reporting.markup import Markup, element, joined, void
from elastic.reporting.numbers import shown
from elastic.reporting.parts import Part, Picture, Report, Section
from elastic.reporting.pictures import Drawn
from elastic.reporting.styles import STYLE
from elastic.reporting.tables import Table

MOST_ROWS = 200  # of numbers below a picture, where more are in its CSV file
FIGURES = "figures"  # the id of the element that holds the JSON of a page alone
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"  # nothing from outside, and nothing that runs


def page(report: Report, drawn: Mapping[str, Drawn], figures: str = "") -> str:
    """Return the page of a report whose pictures are drawn, by name.

    With `figures`, the report's JSON, it is a page alone, which holds them and links to no file.
    """
    skip = element("a", "Skip to the figures", href="#main", class_="skip")
    header = element("header", element("h1", report.title), element("p", report.lead, class_="lead"), _contents(report))
    sections = [_section(number, section, drawn, bool(figures)) for number, section in enumerate(report.sections)]
    settings = [_settings(report.settings)] if report.settings else []
    main = element("main", joined([*sections, *settings], "\n"), id="main")
    body = element("body", joined(["", skip, header, main, _footer(figures), ""], "\n"))
    whole = element("html", joined(["", _head(report), body, ""], "\n"), lang="en")
    return f"<!DOCTYPE html>\n{whole}\n"


def _footer(figures: str) -> Markup:
    if not figures:
        source = element("a", "report.json", href="report.json")
        return element("footer", element("p", "All figures and settings, for programs: ", source))
    where = element("code", f"#{FIGURES}")
    text = Markup(figures.replace("<", "\\u003c"))  # nothing in it can end the element
    held = element("script", text, type="application/json", id=FIGURES)
    return element("footer", element("p", "All figures and settings are in this page, as JSON in ", where, "."), held)


def _head(report: Report) -> Markup:
    return element(
        "head",
        void("meta", charset="utf-8"),
        void("meta", name="viewport", content="width=device-width, initial-scale=1"),
        void("meta", http_equiv="Content-Security-Policy", content=POLICY),
        void("meta", name="color-scheme", content="light dark"),
        void("link", rel="icon", href="data:,"),
        element("title", report.title),
        element("style", Markup(STYLE)),
    )


def _contents(report: Report) -> Markup:
    """Return links to the sections, where there are several."""
    titles = [(f"section-{number}", section.title) for number, section in enumerate(report.sections)]
    titles += [("settings", "Settings")] if report.settings else []
    if len(titles) < 2:
        return Markup()
    links = [element("li", element("a", title, href=f"#{place}")) for place, title in titles]
    return element("nav", element("ul", *links), aria_label="Sections")


def _section(number: int, section: Section, drawn: Mapping[str, Drawn], is_alone: bool) -> Markup:
    place = f"section-{number}"
    paragraphs = [element("p", text.strip()) for text in re.split(r"\n\s*\n", section.text) if text.strip()]
    parts = [_part(part, drawn, is_alone) for part in section.parts]
    title = element("h2", section.title, id=place)
    return element("section", joined([title, *paragraphs, *parts], "\n"), aria_labelledby=place)


def _part(part: Part, drawn: Mapping[str, Drawn], is_alone: bool) -> Markup:
    return _table(part, is_alone) if isinstance(part, Table) else _picture(part, drawn[part.name], is_alone)


def _table(table: Table, is_alone: bool) -> Markup:
    files = Markup() if is_alone else _files(table, "csv")
    return element("div", grid(table), _note(table), files, class_="card")


def _picture(part: Picture, drawn: Drawn, is_alone: bool) -> Markup:
    svg = Markup(inline(drawn.bare, part.name, f"{part.title}. {part.told()}"))
    return element(
        "figure",
        element("figcaption", part.title),
        element("div", svg, class_="wide", tabindex="0", role="group", aria_label=f"Picture: {part.title}"),
        _note(part),
        _numbers(part, is_alone),
        Markup() if is_alone else _files(part, "csv", "svg", "png"),
        class_="card",
    )


def _numbers(part: Picture, is_alone: bool) -> Markup:
    table = part.numbers()
    if len(table.rows) > MOST_ROWS and not is_alone:
        where = element("a", f"{part.name}.csv", href=f"{part.name}.csv")
        return element("p", f"The {len(table.rows):,} rows of numbers are in ", where, ".", class_="note")
    summary = element("summary", "Numbers", element("span", f" of {part.title}", class_="unseen"))
    return element("details", summary, grid(table))


def _note(part: Part) -> Markup:
    return element("p", part.note, class_="note") if part.note else Markup()


def _files(part: Part, *suffixes: str) -> Markup:
    """Return links to the files of a part, which lie beside the page."""
    links = [
        element("a", suffix.upper(), href=f"{part.name}.{suffix}", aria_label=f"{part.title} as {suffix.upper()}")
        for suffix in suffixes
    ]
    return element("p", "Files: ", joined(links, ", "), class_="files")


def _settings(settings: Mapping[str, Any]) -> Markup:
    title = element("h2", "Settings", id="settings")
    return element("section", title, element("div", _definitions(settings), class_="card"), aria_labelledby="settings")


def _definitions(settings: Mapping[str, Any]) -> Markup:
    """Return settings as a definition list, lists within it where they are nested."""
    pairs = [(element("dt", name), element("dd", _setting(value))) for name, value in settings.items()]
    return element("dl", *(each for pair in pairs for each in pair))


def _setting(value: Any) -> str:
    match value:
        case dict():
            return _definitions(value) if value else shown(None)
        case list():
            return joined([_setting(each) for each in value], ", ") if value else shown(None)
        case float():
            return repr(value)  # a setting is copied into a command: all of its digits
        case _:
            return shown(value)
