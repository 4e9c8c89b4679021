"""Colours of groups: strong where a group ties several layers together, pale where a layer's channels leave alone.

Hues go round by the golden angle, so that groups which follow each other are far apart, at one lightness in OKLCH
(Ottosson, "A perceptual color space for image processing", 2020), so that none stands out by chance.
"""

import math
from collections.abc import Sequence

PAPER, INK, MUTED, FAINT, BAND = "#ffffff", "#1f2328", "#59636e", "#d1d9e0", "#f4f6f8"
FROZEN, MIXED = "#8c959f", "#3d444d"

GOLDEN = 360 * (1 - 1 / ((1 + math.sqrt(5)) / 2))  # degrees
TIED, ALONE = (0.6, 0.16), (0.81, 0.07)  # lightness, chroma


def colours_of(is_tied: Sequence[bool]) -> tuple[str, ...]:
    """Return a colour for each group, given whether it ties several layers together."""
    found = []
    seen = {True: 0, False: 0}
    for tied in is_tied:
        found.append(oklch(*(TIED if tied else ALONE), 255 + GOLDEN * seen[tied]))
        seen[tied] += 1
    return tuple(found)


def oklch(lightness: float, chroma: float, hue: float) -> str:
    """Return a colour as #rrggbb; what a screen can't show is clipped."""
    a, b = chroma * math.cos(math.radians(hue)), chroma * math.sin(math.radians(hue))
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    middle = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = (
        4.0767416621 * long - 3.3077115913 * middle + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * middle - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * middle + 1.7076147010 * short,
    )
    return "#" + "".join(f"{round(255 * _gamma(min(1.0, max(0.0, value)))):02x}" for value in linear)


def _gamma(value: float) -> float:
    return 12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055
