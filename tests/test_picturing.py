import pytest

from elastic.picturing import Point, draw_levels


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_levels_are_drawn(tmp_path, suffix):
    points = [Point("macs=50%", 10**6, 10**5, 91.0), Point("full", 2 * 10**6, 2 * 10**5, 93.0)]
    draw_levels(points, tmp_path / f"levels.{suffix}", "a title")
    assert (tmp_path / f"levels.{suffix}").stat().st_size > 5000


def test_one_level_that_is_always_right_is_drawn(tmp_path):
    draw_levels([Point("full", 1, 1, 100.0)], tmp_path / "levels.png", "a title")
    assert (tmp_path / "levels.png").is_file()
