import io

import pytest
from rich.console import Console

from elastic.cli import printing
from elastic.cli.printing import Steps, count, plain, table

COUNTS = {
    0: "0", 999: "999", 1000: "1 k", 1234: "1.23 k", 999_499: "999 k", 999_500: "1 M", 999_999: "1 M",
    12_345_678: "12.3 M", 999_999_999: "1 G", 4.1e9: "4.1 G", 999.6e9: "1000 G", 12.3e12: "12300 G",
}  # fmt: skip


@pytest.mark.parametrize(("number", "text"), COUNTS.items())
def test_counts_have_three_digits_that_matter(number, text):
    assert count(number) == text


def test_a_table_has_the_first_column_to_the_left_and_no_trailing_spaces(capsys):
    table(["level", "MACs", ""], [["a", "10 k", "x"], ["long name", "3 M", ""]])
    assert capsys.readouterr().out == "level      MACs\na          10 k  x\nlong name   3 M\n"


def test_a_table_has_other_columns_to_the_left_where_asked(capsys):
    table(["n", "because", "axes"], [["1", "x", "10"]], left=(1,))
    assert capsys.readouterr().out == "n  because  axes\n1  x          10\n"


def test_a_table_without_rows_is_its_head(capsys):
    table(["level", "MACs"], [])
    assert capsys.readouterr().out == "level  MACs\n"


def test_long_cells_are_shown_whole(capsys):
    table(["tensor", "because"], [["a" * 300, "b" * 300]])
    assert "a" * 300 + "  " + "b" * 300 in capsys.readouterr().out


@pytest.mark.parametrize(("value", "text"), [("macs=50%", "macs=50%"), ("ü", "ü"), (3, "3"), ("\x1b[0m", "'\\x1b[0m'")])
def test_what_a_file_says_is_shown_on_one_line(value, text):
    assert plain(value) == text


def test_progress_without_a_terminal_is_a_line_for_each_quarter(capsys):
    with Steps("testing") as steps:
        for done in range(1, 101):
            steps(done, 100)
    captured = capsys.readouterr()
    assert captured.err.splitlines() == [f"testing: {done} of 100" for done in (25, 50, 75, 100)]
    assert captured.out == ""


def test_progress_that_comes_in_one_step_is_one_line(capsys):
    with Steps("testing") as steps:
        steps(1000, 1000)
    assert capsys.readouterr().err == "testing: 1,000 of 1,000\n"


def interrupted(steps):
    with steps:
        steps(1, 2)
        raise KeyboardInterrupt


def test_a_progress_bar_gives_the_cursor_back_when_interrupted(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(printing, "errors", Console(file=screen, force_terminal=True, width=80))
    with pytest.raises(KeyboardInterrupt, match=r"^$"):
        interrupted(Steps("testing"))
    assert screen.getvalue().rindex("\x1b[?25h") > screen.getvalue().rindex("\x1b[?25l")
