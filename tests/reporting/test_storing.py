"""The JSON of a report: what goes in comes out."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elastic.errors import FileFormatError, InvalidReport, PathError
from elastic.reporting import Bars, Curves, HeatMap, Histogram, Table, read_report
from elastic.reporting.storing import from_json, settled, to_json
from tests.reporting.samples import LEVELS, report_of

numbers = st.floats(allow_nan=False, allow_infinity=False)
text = st.text(st.characters(exclude_categories=["C"]))
cells = st.none() | st.booleans() | st.integers() | numbers | text
names = st.from_regex("[a-z0-9-]{1,12}", fullmatch=True)


@st.composite
def tables(draw):
    heads = draw(st.lists(text, min_size=1, max_size=4).map(tuple))
    rows = st.lists(st.tuples(*[cells] * len(heads)), max_size=5).map(tuple)
    return Table(draw(names), draw(text), heads, draw(rows), draw(text))


@st.composite
def curves(draw):
    line = st.lists(st.tuples(numbers, st.none() | numbers), min_size=1, max_size=5)
    lines = draw(st.dictionaries(text, line, min_size=1, max_size=4))
    points = draw(st.sets(st.sampled_from(sorted(lines))))
    return Curves(draw(names), draw(text), draw(text), draw(text), lines, frozenset(points), draw(text))


@st.composite
def bars(draw):
    labels = draw(st.lists(text, min_size=1, max_size=5).map(tuple))
    values = st.lists(st.none() | numbers, min_size=len(labels), max_size=len(labels))
    series = draw(st.dictionaries(text, values, min_size=1, max_size=4))
    return Bars(draw(names), draw(text), draw(text), draw(text), labels, series)


@st.composite
def histograms(draw):
    edges = draw(st.sets(numbers, min_size=2, max_size=6).map(sorted).map(tuple))
    counts = st.lists(st.integers(0, 10**12), min_size=len(edges) - 1, max_size=len(edges) - 1)
    return Histogram(
        draw(names), draw(text), draw(text), edges, draw(st.dictionaries(text, counts, min_size=1, max_size=3))
    )


@st.composite
def heat_maps(draw):
    columns, rows = (draw(st.lists(text, min_size=1, max_size=4).map(tuple)) for _ in range(2))
    values = tuple(draw(st.tuples(*[st.none() | numbers] * len(columns))) for _ in rows)
    return HeatMap(draw(names), draw(text), draw(text), draw(text), draw(text), columns, rows, values, draw(text))


parts = tables() | curves() | bars() | heat_maps() | histograms()


@given(st.lists(parts, max_size=4, unique_by=lambda part: part.name))
def test_a_report_is_read_as_it_was_written(given_parts):
    report = report_of(*given_parts)
    assert from_json(to_json(report)) == report


@given(parts)
def test_what_was_read_is_written_to_the_same_bytes(part):
    written = to_json(settled(report_of(part)))
    assert to_json(from_json(written)) == written


def test_the_json_of_a_folder_gives_its_report(folder, report):
    assert read_report(folder) == settled(report)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float32("nan")])
def test_a_number_that_is_not_finite_is_null(value):
    text = to_json(report_of(Table("a", "", ("loss",), ((value,),))))
    assert json.loads(text, parse_constant=pytest.fail)["sections"][0]["parts"][0]["rows"] == [[None]]


def test_scalars_of_numpy_are_numbers():
    table = Table("a", "", ("macs", "loss"), ((np.int64(3), np.float32(0.5)),))
    assert settled(report_of(table)).parts[0].rows == ((3, 0.5),)


@pytest.mark.parametrize("value", [np.zeros(3), object()], ids=["array", "object"])
def test_what_is_not_plain_data_is_refused(value):
    with pytest.raises(InvalidReport, match="not plain data; give lists, numbers and text"):
        to_json(report_of(Table("a", "", ("loss",), ((value,),))))


def test_text_is_never_taken_for_a_number():
    with pytest.raises(InvalidReport, match=r"curves 'a': lines.loss.0.1: Input should be a valid number, not '0.5'"):
        settled(report_of(Curves("a", "", "", "", {"loss": ((1, "0.5"),)})))


def test_a_point_without_a_place_is_refused():
    with pytest.raises(InvalidReport, match=r"lines.loss.0.0: Input should be a valid number, not None"):
        settled(report_of(Curves("a", "", "", "", {"loss": ((math.nan, 1.0),)})))


def test_settings_that_are_not_plain_data_become_text():
    settings = {"clip": math.inf, "path": Path("a"), "kinds": {"b", "a"}, "nested": {1: None}}
    expected = {"clip": "inf", "path": "a", "kinds": ["a", "b"], "nested": {"1": None}}
    assert settled(report_of(settings=settings)).settings == expected


def test_letters_that_no_page_has_a_place_for_are_replaced():
    assert settled(report_of(title="a\x00b\ud800c")).title == "a\ufffdb\ufffdc"


@pytest.mark.parametrize("name", ["", "a b", "Loss", "../up", "a.b", "ä", "a\n"])
def test_a_name_that_is_no_plain_file_name_is_refused(name):
    with pytest.raises(InvalidReport, match="can't name a table: its files are called so; use a-z"):
        settled(report_of(Table(name, "", ("a",), ())))


def test_two_parts_of_one_name_are_refused():
    with pytest.raises(InvalidReport, match="two parts of the report are called 'levels'"):
        settled(report_of(LEVELS, LEVELS))


@pytest.mark.parametrize(
    ("part", "why"),
    [
        (Table("a", "", (), ()), "table a has no heads"),
        (Table("a", "", ("x",), ((1, 2),)), "table a has 1 heads, but row 0 has 2 cells"),
        (Curves("a", "", "", "", {}), "curves a have no lines"),
        (Curves("a", "", "", "", {"loss": ()}), "line 'loss' of curves a has no points"),
        (Curves("a", "", "", "", {"loss": ((1, 1),)}, frozenset({"lost"})), "show 'lost' as points, but its lines are"),
        (Bars("a", "", "", "", (), {}), "bars a have no labels"),
        (Bars("a", "", "", "", ("conv",), {}), "bars a have no series"),
        (Bars("a", "", "", "", ("conv",), {"s": (1, 2)}), "have 1 labels, but series 's' has 2 values"),
        (HeatMap("a", "", "", "", "", ("1",), (), ()), "heat map a has no rows"),
        (HeatMap("a", "", "", "", "", (), ("conv",), ((),)), "heat map a has no columns"),
        (HeatMap("a", "", "", "", "", ("1",), ("conv",), ()), "has 1 labels, but 0 rows"),
        (HeatMap("a", "", "", "", "", ("1",), ("conv",), ((1, 2),)), "has 1 columns, but row 'conv' has 2 values"),
        (Histogram("a", "", "", (0,), {"s": ()}), "must ascend, and be two at least"),
        (Histogram("a", "", "", (0, 1, 1), {"s": (1, 2)}), "must ascend, and be two at least"),
        (Histogram("a", "", "", (0, 1), {}), "histogram a has no series"),
        (Histogram("a", "", "", (0, 1), {"s": (1, 2)}), "has 1 bins, but series 's' has 2 counts"),
        (Histogram("a", "", "", (0, 1), {"s": (-1,)}), "counts -1, less than none"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else type(value).__name__,
)
def test_a_part_that_cannot_be_shown_is_refused(part, why):
    with pytest.raises(InvalidReport, match=why):
        settled(report_of(part))


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", "{}", '{"format": 2}', '{"format": 1}', '{"format": 1, "sections": [3]}', "[" * 10**5]
)
def test_a_file_that_is_no_report_is_refused(tmp_path, damage):
    (tmp_path / "report.json").write_text(damage)
    with pytest.raises(FileFormatError, match=r"report\.json: "):
        read_report(tmp_path)


def test_a_folder_without_a_report_is_refused(tmp_path):
    with pytest.raises(PathError, match="give a folder that holds a report"):
        read_report(tmp_path)
