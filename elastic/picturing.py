"""Pictures of levels: accuracy against what a level costs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from elastic.reporting.looks import ACCENT, INK, new_figure, tidy


@dataclass(frozen=True)
class Point:
    """One level in a picture."""

    name: str
    macs: int
    bytes: int
    top1: float  # percent


def draw_levels(points: Sequence[Point], path: str | Path, title: str) -> None:
    """Write a picture of the levels, smallest first: accuracy against MACs and against bytes; .png, .svg or .pdf."""
    figure = new_figure(8, 3.4)
    figure.suptitle(title, color=INK, fontsize=11)
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, values, label in (
        (left, [p.macs / 1e6 for p in points], "million multiply-accumulates an image"),
        (right, [p.bytes / 1e3 for p in points], "kB on disk, as a plain state dict"),
    ):
        axes.plot(values, [p.top1 for p in points], color=ACCENT, marker="o", linewidth=1.5)
        for value, point in zip(values, points, strict=True):
            text = f"{point.name}\n{point.top1:.1f} %"
            axes.annotate(text, (value, point.top1), (7, -5), textcoords="offset points", va="top", fontsize=8)
        axes.set_xlabel(label, color=INK)
        axes.set_xlim(0, max(values) * 1.25)
        tidy(axes)
    lowest = min(p.top1 for p in points)
    left.set_ylim(max(0, lowest - 0.35 * (100 - lowest) - 3), 101)
    left.set_ylabel("held-out accuracy, %", color=INK)
    figure.savefig(path, dpi=144)
