"""Criteria, one a file: (model, plan) -> one score for each unit."""

from elastic.importance.activation import Activation
from elastic.importance.batches import Batches, Loss
from elastic.importance.energy import Energy
from elastic.importance.fpgm import Fpgm
from elastic.importance.gates import Gates
from elastic.importance.gauss_newton import GaussNewton
from elastic.importance.hutchinson import Hutchinson
from elastic.importance.informing import NoInformation
from elastic.importance.lamp import Lamp
from elastic.importance.magnitude import Magnitude
from elastic.importance.norm_scale import NormScale
from elastic.importance.obd import Obd
from elastic.importance.random import Random
from elastic.importance.reduction import Reduction, reduce_along_axes, reduce_over_units, sum_over_units
from elastic.importance.scoring import CRITERIA, HESSIANS, NEED_DATA, Curvature, score
from elastic.importance.seam import Criterion, Scores
from elastic.importance.taylor import Taylor, TaylorSigned

__all__ = [
    "CRITERIA", "HESSIANS", "NEED_DATA", "Activation", "Batches", "Criterion", "Curvature", "Energy", "Fpgm", "Gates",
    "GaussNewton", "Hutchinson", "Lamp", "Loss", "Magnitude", "NoInformation", "NormScale", "Obd", "Random",
    "Reduction", "Scores", "Taylor", "TaylorSigned", "reduce_along_axes", "reduce_over_units", "score",
    "sum_over_units",
]  # fmt: skip
