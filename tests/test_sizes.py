import pytest

from elastic.sizes import size_text

SIZES = {0: "0 B", 999: "999 B", 1000: "1.00 kB", 3_451_984: "3.45 MB", 102_400_000_000: "102.40 GB"}


@pytest.mark.parametrize(("number", "text"), SIZES.items())
def test_sizes_have_two_decimals(number, text):
    assert size_text(number) == text
