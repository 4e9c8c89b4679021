"""The page: its figures are the JSON's, it is well formed, and it can be read without seeing it."""

import json
import re
from html.parser import HTMLParser

import pytest

from elastic.reporting import Curves, Table
from elastic.reporting.inlining import inline
from elastic.reporting.pages import page
from elastic.reporting.pictures import Drawn
from elastic.reporting.storing import settled
from tests.reporting.samples import LEVELS, report_of

VOID = {"meta", "link"}
SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 72 72"></svg>'
TRICK = "<script>alert('&\"$x^2$')</script>"


class Page(HTMLParser):
    """Elements of a page as (tag, attributes, text within, tags around); fails where tags don't match."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.found = [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.found.append([tag, dict(attrs), "", [each[0] for each in self.open]])
        if tag not in VOID:
            self.open.append(self.found[-1])

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        for element in self.open:
            element[2] += data

    def all(self, tag):
        return [element for element in self.found if element[0] == tag]

    def texts(self, tag):
        return [text for _, _, text, _ in self.all(tag)]


@pytest.fixture(scope="module")
def shown(folder):
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def page_of(*parts, **changed):
    """Return a page with empty pictures."""
    report = settled(report_of(*parts, **changed))
    return Page(page(report, {part.name: Drawn(b"", b"", SVG) for part in report.parts}))


def numbers_in(value):
    """Return the numbers of rows, lines, values, edges and counts of JSON, whatever they are in."""
    match value:
        case bool() | str() | None:
            return set()
        case int() | float():
            return {float(value)}
        case dict():
            return set().union(*map(numbers_in, value.values()))
        case list():
            return set().union(*map(numbers_in, value))


def test_the_figures_of_the_page_are_those_of_the_json(folder, shown):
    sections = json.loads((folder / "report.json").read_text(encoding="utf-8"))["sections"]
    assert {float(attributes["value"]) for _, attributes, _, _ in shown.all("data")} == numbers_in(sections)


def test_what_is_shown_is_the_number_behind_it_rounded(shown):
    for _, attributes, text, _ in shown.all("data"):
        read = float(text.replace(",", "").replace("−", "-"))
        assert read == pytest.approx(float(attributes["value"]), rel=1e-3)


def test_a_page_begins_as_html_in_a_language(folder, shown):
    assert (folder / "report.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>\n<html")
    assert shown.all("html")[0][1] == {"lang": "en"}
    assert shown.texts("title") == ["Gates on a network"]


def test_headings_are_one_title_and_the_sections_below_it(shown):
    headings = [(tag, text) for tag, _, text, _ in shown.found if re.fullmatch("h[1-6]", tag)]
    assert headings == [("h1", "Gates on a network"), ("h2", "Results"), ("h2", "Settings")]


def test_links_within_the_page_lead_to_headings(shown):
    places = {attributes["href"] for _, attributes, _, around in shown.all("a") if "nav" in around}
    assert places == {f"#{attributes['id']}" for _, attributes, _, _ in shown.all("h2")}


def test_no_two_elements_have_one_id(shown):
    ids = [attributes["id"] for _, attributes, _, _ in shown.found if "id" in attributes]
    assert len(ids) == len(set(ids)) > 100


def test_pictures_refer_to_what_is_in_the_page(folder, shown):
    ids = {attributes["id"] for _, attributes, _, _ in shown.found if "id" in attributes}
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert set(re.findall(r"url\(#([^)]+)\)", text)) <= ids
    assert {attributes["href"].removeprefix("#") for _, attributes, _, _ in shown.all("use")} <= ids


def test_nothing_comes_from_outside_and_nothing_runs(folder, shown):
    assert not {"script", "img", "iframe", "object"} & {element[0] for element in shown.found}
    assert "http" not in (folder / "report.html").read_text(encoding="utf-8").replace("http-equiv", "")


def test_links_lead_to_files_beside_the_page(folder, shown):
    links = {attributes["href"] for _, attributes, _, _ in shown.all("a") if attributes["href"][0] != "#"}
    assert links == {path.name for path in folder.iterdir()} - {"report.html"}


def test_every_table_has_a_caption_and_heads_with_a_scope(shown):
    assert len(shown.texts("caption")) == len(shown.all("table")) == 6
    assert {attributes.get("scope") for _, attributes, _, _ in shown.all("th")} == {"col", "row"}


def test_tables_scroll_in_a_place_that_the_keyboard_reaches(shown):
    around = [attributes for tag, attributes, _, _ in shown.all("div") if attributes.get("class") == "wide"]
    assert len(around) == 11
    assert all(attributes["tabindex"] == "0" and attributes["aria-label"] for attributes in around)


def test_the_words_for_a_picture_have_its_numbers(shown):
    words = {attributes["aria-label"] for _, attributes, _, _ in shown.all("svg")}
    assert words == {
        "Loss. cross-entropy against epoch, 1 line. loss: 3 points, 1 missing, from 2.25 at 1 to 0.125 at 3; least "
        "0.125 at 3, most 2.25 at 1.",
        "Accuracy against cost. top-1, % against MACs, 2 lines. gates: 2 points, from 89.7 at 31,400,000 to 92.85 at "
        "62,800,000; least 89.7 at 31,400,000, most 92.85 at 62,800,000. published: 93.1 at 75,000,000.",
        "Density. share of 2 bars by layer. gates: from 0.5 (conv1) to 0.75 (conv2), mean 0.625. lamp: from 1 (conv2) "
        "to 1 (conv2), mean 1, 1 missing.",
        "Gates at the end. Histogram of gate in 3 bins from 0 to 1, counts on a log scale. all: 12,007 in all, the "
        "fullest bin has 12,000 between 0 and 0.25, 0 bins are empty.",
        "What is left. left, %, 2 rows by layer, 2 columns by round. round 2: from 37.5 (conv2) to 62.5 (conv1), mean "
        "50.",
    }


def test_pictures_take_their_colours_from_the_page(shown):
    assert not [attributes for _, attributes, _, _ in shown.found if re.search("#[0-9a-f]{6}", str(attributes))]


def test_every_colour_that_a_picture_takes_is_set_for_light_and_for_dark(folder):
    text = (folder / "report.html").read_text(encoding="utf-8")
    used = set(re.findall(r"var\((--[a-z0-9-]+)\)", text))
    assert {len(re.findall(f"{name}: #", text)) for name in used - {"--paper"}} == {2}


@pytest.mark.parametrize("place", ["title", "lead", "settings"])
def test_what_the_caller_gives_is_escaped(place):
    shown = page_of(**{place: {TRICK: [TRICK]} if place == "settings" else TRICK})
    assert not shown.all("script")
    assert TRICK in shown.all("body")[0][2]


def test_what_parts_hold_is_escaped():
    shown = page_of(
        Table("a", TRICK, (TRICK,), ((TRICK,),), TRICK),
        Curves("b", TRICK, TRICK, TRICK, {TRICK: ((1, 2),)}, note=TRICK),
    )
    assert not shown.all("script")
    assert shown.texts("caption") == [TRICK, TRICK]
    assert TRICK in shown.all("svg")[0][1]["aria-label"]


def test_paragraphs_are_what_blank_lines_part(shown):
    assert [text for _, attributes, text, around in shown.all("p") if around[-1] == "section"] == ["First.", "Second."]


def test_settings_are_a_definition_list_that_nests():
    shown = page_of(settings={"lr": 5e-4, "amp": False, "optimiser": {"name": "sgd"}, "seeds": [0, 1], "none": {}})
    assert shown.texts("dt") == ["lr", "amp", "optimiser", "name", "seeds", "none"]
    assert shown.texts("dd") == ["0.0005", "no", "namesgd", "sgd", "0, 1", "–"]


def test_a_report_without_settings_and_with_one_section_needs_no_contents():
    shown = page_of(settings={})
    assert shown.texts("h2") == ["Results"]
    assert not shown.all("nav")


@pytest.mark.parametrize(("points", "is_there"), [(200, True), (201, False)])
def test_up_to_200_rows_of_numbers_are_below_a_picture_and_more_in_its_file(points, is_there):
    shown = page_of(Curves("loss", "", "epoch", "loss", {"loss": [(x, 1.0) for x in range(points)]}))
    assert bool(shown.all("details")) is is_there
    assert ("The 201 rows of numbers are in loss.csv." in shown.texts("p")) is not is_there


def test_lines_that_share_their_x_are_columns():
    shown = page_of(Curves("loss", "", "epoch", "loss", {"a": [(1, 1.0), (2, 2.0)], "b": [(1, 3.0), (2, None)]}))
    assert shown.texts("th") == ["epoch", "a", "b"]
    assert shown.texts("td") == ["1", "1", "3", "2", "2", "–"]


def test_numbers_stand_at_the_right_and_the_first_column_names_the_row():
    shown = page_of(LEVELS)
    assert [text for _, attributes, text, _ in shown.all("th") if attributes["scope"] == "row"] == ["macs=50%", "full"]
    right = {text for _, attributes, text, _ in shown.all("td") if attributes.get("class") == "number"}
    assert right == {"401,522", "855,770", "92.85", "93.69", "–", "9.5"}


def test_a_picture_in_a_page_keeps_nothing_that_holds_for_all_of_it():
    svg = SVG.replace("></svg>", "><style>*{fill:red}</style><metadata>x</metadata><g id='a'/></svg>")
    shown = Page(inline(svg, "loss", "words"))
    assert [element[0] for element in shown.found] == ["svg", "g"]
    assert shown.all("g")[0][1] == {"id": "loss-a"}
