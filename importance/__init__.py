"""Criteria, one a file: (model, plan) -> one score for each unit."""

from elastic.importance.magnitude import Magnitude
from elastic.importance.random import Random
from elastic.importance.reduction import sum_over_units
from elastic.importance.scoring import CRITERIA, score
from elastic.importance.seam import Criterion, Scores

__all__ = ["CRITERIA", "Criterion", "Magnitude", "Random", "Scores", "score", "sum_over_units"]
