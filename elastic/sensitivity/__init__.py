"""Sensitivity: the loss of a network with one group narrower, measured once, for any target."""

from elastic.sensitivity.curves import Curves, Header, Measured
from elastic.sensitivity.keeping import read_curves
from elastic.sensitivity.measuring import WIDTHS, Progress, kl, measure_curves, narrowed_to

__all__ = [
    "WIDTHS",
    "Curves",
    "Header",
    "Measured",
    "Progress",
    "kl",
    "measure_curves",
    "narrowed_to",
    "read_curves",
]
