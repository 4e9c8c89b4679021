"""Compare: every criterion with every allocation over seeds, each held against the controls."""

from elastic.comparing.choices import ALLOCATIONS, RANDOM, UNIFORM
from elastic.comparing.judging import Judgement, Verdict
from elastic.comparing.records import Header, Measured, Run
from elastic.comparing.results import Comparison, Row, Spread
from elastic.comparing.running import Measure, Progress, compare
from elastic.comparing.tables import about, cells, markdown
from elastic.comparing.testing import hits

__all__ = [
    "ALLOCATIONS",
    "RANDOM",
    "UNIFORM",
    "Comparison",
    "Header",
    "Judgement",
    "Measure",
    "Measured",
    "Progress",
    "Row",
    "Run",
    "Spread",
    "Verdict",
    "about",
    "cells",
    "compare",
    "hits",
    "markdown",
]
