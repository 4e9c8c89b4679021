"""Standing: a place for units that a quantity says nothing of, so that silence is not taken for zero."""

import numpy as np
from torch import nn

from elastic.importance.magnitude import Magnitude
from elastic.importance.seam import Scores
from elastic.plan import Axis, BoolArray, Plan


def units_on(axes: list[Axis], plan: Plan) -> BoolArray:
    """Return which units have a position on one of the axes, [units]."""
    found = np.zeros(plan.units + 1, np.bool_)
    for axis in axes:
        found[plan.axes[axis]] = True  # NEVER is the last
    return found[:-1]


def stand_in(scores: Scores, is_known: BoolArray, model: nn.Module, plan: Plan) -> Scores:
    """Return the scores, where not known the mean of the known times the unit's L2 norm over its group's mean.

    So units that nothing is known of stand, on average, where the others stand; within a group the larger stay.
    """
    if is_known.all():
        return scores
    sizes = np.sqrt(Magnitude(2)(model, plan))
    means = np.bincount(plan.group_of_unit, sizes) / np.bincount(plan.group_of_unit)
    relative = sizes / np.maximum(means, np.finfo(np.float64).tiny)[plan.group_of_unit]
    return np.where(is_known, scores, (scores[is_known].mean() if is_known.any() else 1.0) * relative)
