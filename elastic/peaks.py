"""Peaks: the most bytes that the outputs of a forward pass take at once.

An output takes memory from the operation that makes it until the last one that reads it, so memory is at its most
where an output has just been made: as many moments as there are outputs, each a sum of sizes. `until` [outputs] is the
number of the output that is made last while each is held.
"""

import numpy as np
import numpy.typing as npt

from elastic.plan import IntArray


def held(sizes: IntArray, until: IntArray) -> IntArray:
    """Return what is held when each output has just been made, [outputs], of outputs of these sizes [outputs]."""
    freed = np.zeros(len(sizes) + 1, np.int64)
    np.add.at(freed, until + 1, sizes)
    found: IntArray = np.cumsum(sizes - freed[:-1])
    return found


def sums_while_held(of_moments: npt.NDArray[np.float64], until: IntArray) -> npt.NDArray[np.float64]:
    """Return for each output the sum of numbers of the moments at which it is held, [outputs] -> [outputs]."""
    before = np.concatenate([[0.0], np.cumsum(of_moments)])
    found: npt.NDArray[np.float64] = before[until + 1] - before[:-1]
    return found
