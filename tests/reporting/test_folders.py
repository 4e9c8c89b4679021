"""What lies in the folder of a report, and what writing it leaves alone."""

import csv
import hashlib
import os
import re
import subprocess
import sys

import matplotlib
import pytest

from elastic.errors import InvalidReport, OutputExists, PathError
from elastic.reporting import Curves, write_report
from tests.reporting.samples import COST, DENSITY, GATES, LEFT, LEVELS, report_of


def hashes(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_a_report_is_a_page_its_figures_and_files_for_each_part(folder):
    pictures = {
        f"{name}.{suffix}" for name in ("loss", "cost", "density", "gates", "left") for suffix in ("csv", "svg", "png")
    }
    assert {path.name for path in folder.iterdir()} == {"report.html", "report.json", "levels.csv", *pictures}


def test_the_path_of_the_page_comes_back(tmp_path):
    assert write_report(report_of(LEVELS), tmp_path / "new" / "folder") == tmp_path / "new" / "folder" / "report.html"


def test_writing_twice_gives_the_same_bytes_whatever_the_users_settings_are(report, folder, tmp_path):
    with matplotlib.rc_context({"font.size": 20, "svg.fonttype": "none", "axes.facecolor": "black"}):
        write_report(report, tmp_path)
    assert hashes(tmp_path) == hashes(folder)


def test_another_process_writes_the_same_bytes(folder, tmp_path):
    program = (
        "import sys; from elastic.reporting import write_report; from tests.reporting.samples import *;"
        "write_report(report_of(LEVELS, LOSS, COST, DENSITY, GATES, LEFT), sys.argv[1])"
    )
    asked = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True, env=asked)
    assert hashes(tmp_path) == hashes(folder)


@pytest.mark.parametrize("there", ["report.html", "report.json", "levels.csv"])
def test_a_file_that_is_there_is_refused_before_anything_is_written(tmp_path, there):
    (tmp_path / there).write_text("mine")
    with pytest.raises(OutputExists, match=f"{there} exists; choose another folder"):
        write_report(report_of(LEVELS), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [there]


def test_a_file_that_is_there_is_replaced_when_asked(tmp_path):
    (tmp_path / "levels.csv").write_text("old")
    write_report(report_of(LEVELS), tmp_path, overwrite=True)
    assert (tmp_path / "levels.csv").read_text().startswith("level,params")


def test_other_files_stay_as_they_are(tmp_path):
    (tmp_path / "weights.csv").write_text("mine")
    (tmp_path / "levels").mkdir()
    write_report(report_of(LEVELS), tmp_path)
    write_report(report_of(), tmp_path, overwrite=True)
    assert (tmp_path / "weights.csv").read_text() == "mine"
    assert {"levels", "levels.csv"} <= {path.name for path in tmp_path.iterdir()}


def test_nothing_is_written_of_a_report_that_cannot_be_shown(tmp_path):
    with pytest.raises(InvalidReport, match="no points"):
        write_report(report_of(LEVELS, Curves("a", "", "", "", {"loss": ()})), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(PathError, match="can't make the folder"):
        write_report(report_of(LEVELS), tmp_path / "taken")


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_the_csv_of_a_table_is_the_table(folder):
    assert rows(folder / "levels.csv") == [
        list(LEVELS.heads),
        ["macs=50%", "401522", "92.85", "", "True"],
        ["full", "855770", "93.694999", "9.5", "False"],
    ]


def test_the_csv_of_curves_has_a_row_for_each_point(folder):
    expected = [[line, str(x), str(y)] for line, points in COST.lines.items() for x, y in points]
    assert rows(folder / "cost.csv") == [["line", "x", "y"], *expected]


def test_a_number_that_is_not_finite_is_missing_in_the_csv(folder):
    assert rows(folder / "loss.csv")[2] == ["loss", "2.0", ""]


def test_the_csv_of_bars_has_a_row_for_each_bar(folder):
    expected = [
        [label, series, "" if value is None else str(value)]
        for series, values in DENSITY.values.items()
        for label, value in zip(DENSITY.labels, values, strict=True)
    ]
    assert rows(folder / "density.csv") == [["label", "series", "value"], *expected]


def test_the_csv_of_a_histogram_has_a_row_for_each_bin(folder):
    expected = [["all", "0.0", "0.25", "12000"], ["all", "0.25", "0.5", "3"], ["all", "0.5", "1.0", "4"]]
    assert rows(folder / "gates.csv") == [["series", "low", "high", "count"], *expected]
    assert sum(int(row[3]) for row in expected) == sum(GATES.counts["all"])


def test_the_csv_of_a_heat_map_has_a_row_for_each_cell(folder):
    expected = [
        [label, column, "" if value is None else str(value)]
        for label, row in zip(LEFT.rows, LEFT.values, strict=True)
        for column, value in zip(LEFT.columns, row, strict=True)
    ]
    assert rows(folder / "left.csv") == [["row", "column", "value"], *expected]


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_pictures_name_no_day_and_no_program(folder, suffix):
    assert not re.search(rb"(?i)matplotlib v|software|<dc:date>", (folder / f"loss.{suffix}").read_bytes())
