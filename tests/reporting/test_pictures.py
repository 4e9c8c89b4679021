"""Pictures: every part that is accepted can be drawn, and lines stay apart for every eye."""

import io
import itertools
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from elastic.reporting import Bars, Curves, HeatMap, Histogram
from elastic.reporting.heat_maps import FULLEST, PALEST
from elastic.reporting.looks import DARK, DASHES, INK, LIGHT, MARKERS, line_of, marker_of, new_figure, shortened
from elastic.reporting.pictures import draw
from elastic.reporting.styles import DARK_INK

SVG = "{http://www.w3.org/2000/svg}"
LONG = "features.denseblock4.denselayer16.conv2"

PARTS = {
    "one-point": Curves("a", "A", "x", "y", {"l": ((1, 2.0),)}),
    "all-missing": Curves("a", "A", "x", "y", {"l": ((1, None), (2, None))}),
    "all-equal": Curves("a", "A", "x", "y", {"l": ((1, 2.0), (2, 2.0))}),
    "all-zero": Curves("a", "A", "x", "y", {"l": ((0, 0.0), (0, 0.0))}),
    "huge-and-tiny": Curves("a", "A", "MACs", "loss", {"l": ((1e12, 1e-9), (2e12, 1e300)), "m": ((1, -1e300),)}),
    "long-line": Curves("a", "A", "x", "y", {"l": [(x, x**0.5) for x in range(5000)]}),
    "ten-lines": Curves("a", "A", "x", "y", {f"line {n}": [(x, x * n) for x in range(30)] for n in range(10)}),
    "long-names": Curves("a" * 60, "A title " * 30, "x " * 90, "y " * 60, {LONG * 3: ((1, 1),), "m": ((1, 2),)}),
    "math-and-glyphs": Curves(
        "a", "$\\frac{", "$x^{$", "{} % \\ 層", {"$\\alpha$ 層": ((1, 1),), "_hidden": ((1, 2),)}
    ),
    "one-bar": Bars("a", "A", "x", "y", ("conv",), {"s": (0.5,)}),
    "no-height": Bars("a", "A", "x", "y", ("conv", "fc"), {"s": (0.0, 0.0)}),
    "missing-bars": Bars("a", "A", "x", "y", ("conv", "fc"), {"s": (None, None), "t": (-1.0, None)}),
    "same-labels": Bars("a", "A", "x", "y", ("conv", "conv"), {"s": (1, 2)}),
    "60-bars": Bars("a", "A", "layer", "share", tuple(f"{LONG}{n}" for n in range(60)), {"s": [0.5] * 60}),
    "500-bars": Bars("a", "A", "layer", "share", tuple(map(str, range(500))), {"s": [0.5] * 500, "t": [None] * 500}),
    "six-series": Bars("a", "A", "x", "y", ("conv", "fc"), {f"series {n}": (n, -n) for n in range(6)}),
    "one-bin": Histogram("a", "A", "x", (0, 1), {"s": (5,)}),
    "zero-counts": Histogram("a", "A", "x", (0, 1, 2), {"s": (0, 0)}),
    "one-cell": HeatMap("a", "A", "x", "y", "v", ("1",), ("conv",), ((0.5,),)),
    "missing-cells": HeatMap("a", "A", "x", "y", "v", ("1", "2"), ("conv",), ((None, None),)),
    "huge-cells": HeatMap("a", "A", "x", "y", "v", ("1", "2"), ("conv",), ((-1.7e308, 1.7e308),)),
    "many-cells": HeatMap(
        "a",
        "A",
        "x",
        "y",
        "v",
        tuple(map(str, range(62))),
        tuple(f"{LONG}{n}" for n in range(3)),
        tuple(tuple(n * m / 62 for m in range(62)) for n in range(3)),
    ),
    "steep": Histogram("a", "A", "x", (0, 1, 2, 3), {"s": (10**9, 0, 1), "t": (0, 1, 1)}),
}


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_every_part_that_is_accepted_is_drawn(part):
    part.check()
    drawn = draw(part)
    assert np.asarray(Image.open(io.BytesIO(drawn.png)).convert("L")).std() > 2
    assert all(len(list(ElementTree.fromstring(svg).iter(f"{SVG}path"))) > 10 for svg in (drawn.svg, drawn.bare))


def test_a_picture_for_the_page_leaves_its_title_to_it():
    drawn = draw(PARTS["one-point"])
    assert b"<!-- A -->" in drawn.svg
    assert "<!-- A -->" not in drawn.bare


@pytest.mark.parametrize(
    "part",
    [
        Curves("a", "A", "x", "y", {"_stem": ((1, 2),), "conv": ((1, 3),)}),
        Bars("a", "A", "x", "y", ("l",), {"_stem": (1,), "conv": (2,)}),
        Histogram("a", "A", "x", (0, 1), {"_stem": (1,), "conv": (2,)}),
    ],
    ids=["curves", "bars", "histogram"],
)
def test_every_series_is_named_beside_the_picture_also_one_that_begins_with_an_underscore(part):
    assert all(f"<!-- {name} -->" in draw(part).bare for name in ("_stem", "conv"))


def test_the_fullest_cell_is_the_one_of_the_highest_number():
    part = HeatMap("a", "A", "x", "y", "v", ("1", "2", "3"), ("conv",), ((5.0, None, 9.0),))
    axes = new_figure(*part.size()).subplots()
    part.draw(axes)
    assert [patch.get_alpha() for patch in axes.patches] == pytest.approx([PALEST, FULLEST])


def test_bars_of_one_label_are_told_apart():
    part = Bars("a", "A", "x", "y", ("conv", "conv"), {"s": (1.0, 2.0)})
    assert "s: from 1 (conv) to 2 (conv), mean 1.5." in part.told()


@pytest.mark.parametrize(
    ("counts", "is_steep"), [((1000, 10, 10), False), ((1001, 10, 10), True), ((0, 0), False), ((10**6, 0), False)]
)
def test_counts_are_on_a_log_scale_where_one_has_over_100_times_the_median(counts, is_steep):
    assert Histogram("a", "", "", tuple(range(len(counts) + 1)), {"s": counts}).is_steep() is is_steep


def test_looks_repeat_after_252_lines_only():
    looks = {(str(line_of(n)), str(marker_of(n))) for n in range(252)}
    assert len(looks) == 252 == len(LIGHT) * len(DASHES) * len(MARKERS)


def test_a_long_name_keeps_its_beginning_and_its_end():
    assert shortened("features.denseblock4.denselayer16.conv2", 30) == "features.d….denselayer16.conv2"
    assert shortened("conv1") == "conv1"


# Machado et al. 2009, of full strength, on linear RGB.
EYES = {
    "all cones": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def linear(colour):
    values = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def oklab(rgb):
    cones = [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566]]
    roots = np.cbrt(np.array([*cones, [0.0883024619, 0.2817188376, 0.6299787005]]) @ np.clip(rgb, 0, 1))
    axes = [[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099]]
    return np.array([*axes, [0.0259040371, 0.7827717662, -0.8086757660]]) @ roots


def luminance(colour):
    return float(linear(colour) @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("eye", EYES)
@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_colours_stay_apart_for_every_eye(colours, eye):
    seen = [oklab(np.array(EYES[eye]) @ linear(colour)) for colour in colours]
    # A difference of 0.02 is the least that is seen side by side; Okabe and Ito's palette has 0.076 by this measure.
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 0.1


@pytest.mark.parametrize(
    ("colours", "paper"), [(LIGHT, "#ffffff"), (DARK, "#161b22")], ids=["on light paper", "on dark paper"]
)
def test_colours_have_the_contrast_that_pictures_need(colours, paper):
    for colour in colours:
        dark, light = sorted([luminance(colour), luminance(paper)])
        assert (light + 0.05) / (dark + 0.05) >= 2.995  # 3:1, WCAG 2.1, 1.4.11


@pytest.mark.parametrize(
    ("ink", "colour", "paper"), [(INK, LIGHT[0], "#ffffff"), (DARK_INK, DARK[0], "#161b22")], ids=["light", "dark"]
)
def test_numbers_on_the_fullest_cell_of_a_heat_map_can_be_read(ink, colour, paper):
    parts = [[int(each[place : place + 2], 16) for place in (1, 3, 5)] for each in (colour, paper)]
    mixed = [round(FULLEST * over + (1 - FULLEST) * under) for over, under in zip(*parts, strict=True)]
    dark, light = sorted([luminance(ink), luminance("#{:02x}{:02x}{:02x}".format(*mixed))])
    assert (light + 0.05) / (dark + 0.05) >= 4.5  # WCAG 2.1, 1.4.3
