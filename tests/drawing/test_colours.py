import re

import pytest

from elastic.drawing.colours import colours_of, oklch


def test_groups_that_follow_each_other_have_colours_of_their_own():
    assert len(set(colours_of([True] * 40 + [False] * 40))) == 80


def test_a_tied_group_keeps_its_colour_whatever_is_untied():
    assert colours_of([True, False, False, True])[3] == colours_of([True, True])[1]


# From the reference implementation of the space (bottosson.github.io/posts/oklab).
KNOWN = {"white": (1, 0, 0, "#ffffff"), "black": (0, 0, 0, "#000000"), "red": (0.627955, 0.257683, 29.2339, "#ff0000")}


@pytest.mark.parametrize(("lightness", "chroma", "hue", "colour"), KNOWN.values(), ids=KNOWN)
def test_colours_are_those_of_the_space(lightness, chroma, hue, colour):
    assert oklch(lightness, chroma, hue) == colour


def test_what_a_screen_can_not_show_is_clipped():
    assert re.fullmatch("#[0-9a-f]{6}", oklch(0.6, 0.5, 120))
