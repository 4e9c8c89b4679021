"""Numbers as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elastic.reporting.numbers import column, shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (True, "yes"),
        (False, "no"),
        (125_485_706, "125,485,706"),
        (-3, "−3"),
        (0.0, "0"),
        (93.694999, "93.69"),
        (0.5, "0.5"),
        (100.0, "100"),
        (31_400_000.0, "31,400,000"),
        (1234.5678, "1,235"),
        (0.00012345, "0.0001234"),
        (1.2e-7, "1.2e−7"),
        (6.02214e23, "6.022e23"),
        ("1e5", "1e5"),
    ],
)
def test_a_number_has_the_digits_that_matter(value, text):
    assert shown(value) == text


def test_numbers_of_a_column_have_as_many_decimals():
    assert column(["top-1", 90.0, 92.85, None, 3]) == ("top-1", "90.00", "92.85", "–", "3")


def test_numbers_that_lie_far_apart_have_decimals_of_their_own():
    assert column([2.25, 0.00125]) == ("2.25", "0.00125")


@given(st.floats(-1e300, 1e300))
def test_a_number_is_shown_to_half_of_its_fourth_digit(value):
    read = float(shown(value).replace("−", "-").replace(",", ""))
    assert read == pytest.approx(value, rel=5.1e-4)


@given(st.lists(st.floats(0.01, 1e6), min_size=1))
def test_no_number_of_a_column_loses_more_than_half_a_ten_thousandth_or_its_fourth_digit(values):
    for value, text in zip(values, column(values), strict=True):
        assert float(text.replace(",", "")) == pytest.approx(value, rel=5.1e-4, abs=5.1e-5)
