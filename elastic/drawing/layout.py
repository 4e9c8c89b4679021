"""Where everything lies: rows from top to bottom, lanes to the left of a spine, bars and words to its right."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from elastic.drawing.elements import MARK_WIDTH, text_width
from elastic.drawing.lanes import Lane, lanes_of
from elastic.drawing.rows import PRODUCTS, Row

MARGIN, TOP = 24.0, 138.0
HIGH, LOW = 21.0, 17.0  # a row with a weight, and one without
LONGEST = 220.0  # bar
BEFORE_BARS = 16.0  # from the spine
BETWEEN = 18.0  # columns
LEAST = 700.0  # width, for the words at the head


@dataclass(frozen=True)
class Layout:
    """Places in pixels; `ys` are the middles of rows, `columns` where each column of words begins, and the end."""

    lanes: tuple[Lane, ...]
    gap: float  # from lane to lane
    spine: float
    bars: float
    ys: tuple[float, ...]
    heights: tuple[float, ...]
    columns: tuple[float, ...]
    widest: int  # channels

    @property
    def width(self) -> float:
        """How wide the picture is."""
        return max(self.columns[-1] - BETWEEN + MARGIN, LEAST)

    @property
    def bottom(self) -> float:
        """Where the last row ends."""
        return self.ys[-1] + self.heights[-1] / 2

    def lane(self, lane: Lane) -> float:
        """Return where a lane runs."""
        return self.spine - 6 - self.gap * (lane.number + 1)

    def length(self, channels: float) -> float:
        """Return how long the bar of so many channels is."""
        return max(2.0, LONGEST * math.sqrt(channels / self.widest))


def layout_of(rows: Sequence[Row], words: Sequence[Sequence[str]], heads: Sequence[str]) -> Layout:
    """Return where rows lie, whose columns hold these words under these heads."""
    lanes = lanes_of([row.inputs for row in rows])
    count = 1 + max((lane.number for lane in lanes), default=-1)
    gap = 10.0 if count <= 12 else 7.0 if count <= 40 else 4.0
    spine = MARGIN + 12 + gap * count
    bars = spine + BEFORE_BARS + MARK_WIDTH * max((len(row.before) for row in rows), default=0)
    heights = tuple(HIGH if row.kind in PRODUCTS else LOW for row in rows)
    ends = [TOP + sum(heights[: number + 1]) for number in range(len(rows))]
    ys = tuple(end - height / 2 for end, height in zip(ends, heights, strict=True))
    marks = MARK_WIDTH * max((len(row.after) for row in rows), default=0)
    columns = [bars + LONGEST + marks + BETWEEN]
    for column, head in enumerate(heads):
        longest = max(text_width(text) for text in (head, *(each[column] for each in words)))
        columns.append(columns[-1] + (longest + BETWEEN if longest else 0))
    widest = max((row.width or 1 for row in rows), default=1)
    return Layout(lanes, gap, spine, bars, ys, heights, tuple(columns), widest)
