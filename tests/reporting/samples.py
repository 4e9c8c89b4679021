"""A small report with a part of each kind, and what is easily got wrong in it: missing numbers, points, two series."""

from elastic.reporting import Bars, Curves, HeatMap, Histogram, Report, Section, Table

LEVELS = Table(
    "levels",
    "Levels of the file",
    ("level", "params", "top-1, %", "latency, ms", "is exact"),
    (("macs=50%", 401_522, 92.85, None, True), ("full", 855_770, 93.694999, 9.5, False)),
    "Measured with one thread.",
)
LOSS = Curves("loss", "Loss", "epoch", "cross-entropy", {"loss": ((1, 2.25), (2, float("nan")), (3, 0.125))})
COST = Curves(
    "cost",
    "Accuracy against cost",
    "MACs",
    "top-1, %",
    {"gates": ((3.14e7, 89.7), (6.28e7, 92.85)), "published": ((7.5e7, 93.1),)},
    frozenset({"published"}),
)
DENSITY = Bars("density", "Density", "layer", "share", ("conv1", "conv2"), {"gates": (0.5, 0.75), "lamp": (None, 1.0)})
GATES = Histogram("gates", "Gates at the end", "gate", (0.0, 0.25, 0.5, 1.0), {"all": (12_000, 3, 4)})
LEFT = HeatMap(
    "left",
    "What is left",
    "round",
    "layer",
    "left, %",
    ("1", "2"),
    ("conv1", "conv2"),
    ((87.5, 62.5), (None, 37.5)),
)


def report_of(*parts, **changed):
    given = {"title": "Gates on a network", "lead": "It was cut.", "settings": {"lr": 0.1, "seeds": [0, 1]}}
    return Report(**{**given, "sections": (Section("Results", "First.\n\nSecond.", parts),), **changed})
