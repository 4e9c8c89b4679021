"""Products: sums of products of lengths of axes, in arrays, with their derivatives."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from elastic.plan import IntArray

FloatArray = npt.NDArray[np.float64]
Product = tuple[int, list[int]]  # coefficient, numbers of the axes whose lengths are multiplied


@dataclass(frozen=True, eq=False)
class Products:
    """A sum of products: row i is `coefficients[i]` times the lengths of the axes `factors[i]`."""

    coefficients: IntArray | FloatArray  # [products]
    factors: IntArray  # [products, most factors]; the axis after the last is of length 1

    def terms(self, lengths: IntArray) -> IntArray:
        """Return each product for axes of these lengths, [axes + 1] -> [products]."""
        found: IntArray = self.coefficients * lengths[self.factors].prod(axis=1)
        return found

    def total(self, lengths: IntArray) -> int:
        """Return the sum for axes of these lengths, [axes + 1]."""
        return int(self.terms(lengths).sum())

    def slopes(self, lengths: IntArray) -> FloatArray:
        """Return the derivative of the sum by the length of each axis, [axes + 1]."""
        found = np.zeros(len(lengths))
        of_factors = lengths[self.factors].astype(np.float64)  # [products, factors]
        for column in range(self.factors.shape[1]):
            others = self.coefficients * np.delete(of_factors, column, axis=1).prod(axis=1)
            found += np.bincount(self.factors[:, column], others, len(lengths))
        return found
