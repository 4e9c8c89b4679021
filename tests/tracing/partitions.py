"""What a plan is but for the numbers of its units."""

import numpy as np

from elastic.plan import NEVER


def partition(plan):
    """Return the units of a plan, each as the set of positions (tensor, axis, position) that leave with it."""
    homes, units = list(plan.axes), [[] for _ in range(plan.units)]
    for home in homes:
        for position in np.flatnonzero(plan.axes[home] != NEVER).tolist():
            units[plan.axes[home][position]].append((*home, position))
    return {frozenset(unit) for unit in units}
