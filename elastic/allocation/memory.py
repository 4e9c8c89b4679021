"""Memory: the state and what the forward pass holds beside it, in arrays, by the lengths of axes.

It is the greatest of several sums of products, one for each moment at which an output has just been made. Where
several are nearly the greatest, all have to fall before memory does, so what a unit saves is counted at all of them,
each with a share: the derivative of the smooth maximum log(sum(exp)), which is what a price on each moment would be.
"""

from dataclasses import dataclass, replace

import numpy as np

from elastic.allocation.products import FloatArray, Products
from elastic.peaks import held, sums_while_held
from elastic.plan import IntArray

# Of what is held at the peak: moments this near to it have a share in it, and units leave at the same savings until
# they save as much. MobileNetV2 to 60 % with random scores loses 70 with a sixteenth, 77 with a 64th and no shares;
# programmes lose 68.
NEAR = 1 / 16


@dataclass(frozen=True, eq=False)
class Memory:
    """The bytes of a plan's networks in memory."""

    state: Products
    outputs: Products  # one for each output
    until: IntArray  # [outputs], the number of the output that is made last while each is held

    def moments(self, lengths: IntArray) -> IntArray:
        """Return what is in memory when each output has just been made, [axes + 1] -> [outputs]."""
        found: IntArray = self.state.total(lengths) + self._held(lengths)
        return found

    def slopes(self, lengths: IntArray) -> FloatArray:
        """Return the derivative by the length of each axis, [axes + 1], with moments near the peak as part of it."""
        moments = self._held(lengths).astype(np.float64)
        near = np.exp((moments / moments.max() - 1) / NEAR)
        shares = sums_while_held(near / near.sum(), self.until)
        outputs = replace(self.outputs, coefficients=self.outputs.coefficients * shares)
        found: FloatArray = self.state.slopes(lengths) + outputs.slopes(lengths)
        return found

    def near(self, lengths: IntArray) -> float:
        """Return the bytes that outputs at the peak may lose before it could be another."""
        return NEAR * float(self._held(lengths).max())

    def _held(self, lengths: IntArray) -> IntArray:
        return held(self.outputs.terms(lengths), self.until)
