"""Ridge: weights for which a layer's outputs are nearest to what is wanted, pulled towards the weights it has.

Hoerl and Kennard, "Ridge Regression", Technometrics 1970, with the present weights in place of zero: minimise
|A (W + D) - T|^2 + strength * mean(diag(A'A)) * |D|^2 over the step D. Closed form; what is held are sums of products,
not rows.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Products:
    """Sums over rows, in float64: of a layer's columns with each other and with its error, and of squared errors.

    `gram` [groups, columns + 1, columns + 1], `right` [groups, columns + 1, outputs]; the last column is the constant.
    """

    gram: Tensor
    right: Tensor
    error: float
    count: int

    def joined_to(self, other: "Products") -> "Products":
        """Return the sums over the rows of both, in the memory of this one."""
        self.gram.add_(other.gram)
        self.right.add_(other.right)
        return replace(self, error=self.error + other.error, count=self.count + other.count)


@dataclass(frozen=True, eq=False)
class Step:
    """How weights change, [groups, columns, outputs], and the constant [groups, outputs]; squared errors."""

    weights: Tensor
    constant: Tensor
    before: float
    after: float


def products(chunks: Iterable[tuple[Tensor, Tensor]], *, constant: bool) -> Products:
    """Return the sums over rows that a layer reads [groups, rows, columns], and their errors [groups, rows, outputs].

    Products are in float32 within a chunk. Where there may be no constant its column is zero.
    """
    found: Products | None = None
    for part, error in chunks:
        rows = torch.cat([part, part.new_full((*part.shape[:2], 1), float(constant))], 2)
        squares = float(error.square().sum(dtype=torch.float64))
        if found is None:
            found = Products((rows.mT @ rows).double(), (rows.mT @ error).double(), squares, part.shape[1])
        else:
            found = found.joined_to(Products(rows.mT @ rows, rows.mT @ error, squares, part.shape[1]))
    assert found is not None, "no rows"
    return found


def pull(found: Products, strength: float) -> Tensor:
    """Return what is added to the diagonal of the products of columns. The constant is not pulled."""
    diagonal = found.gram.diagonal(dim1=1, dim2=2)
    added = torch.zeros_like(diagonal)
    mean = diagonal[:, :-1].mean(1, keepdim=True)
    added[:, :-1] = (strength * mean).clamp_min(1e-12)  # a layer that reads nothing but zeros keeps its weights
    added[:, -1] = torch.where(diagonal[:, -1] > 0, 1e-9 * found.count, 1.0)
    return added


@dataclass(frozen=True, eq=False)
class Factors:
    """The products of columns with the pull added, as LU factors."""

    lu: Tensor
    pivots: Tensor
    count: int

    def solve(self, right: Tensor) -> Tensor:
        """Return what the products have to be multiplied with to make `right`."""
        found: Tensor = torch.linalg.lu_solve(self.lu, self.pivots, right)
        return found


def factors(found: Products, strength: float) -> Factors:
    """Return what to solve with."""
    diagonal = found.gram.diagonal(dim1=1, dim2=2)
    before = diagonal.clone()
    diagonal.add_(pull(found, strength))  # in place, as it is the largest tensor of all
    lu, pivots = torch.linalg.lu_factor(found.gram)
    diagonal.copy_(before)
    return Factors(lu, pivots, found.count)


def solve(found: Products, *, strength: float) -> Step:
    """Return the step that takes away most of the error."""
    step = factors(found, strength).solve(found.right)
    after = found.error + float((step * (found.gram @ step - 2 * found.right)).sum())
    return Step(step[:, :-1].float(), step[:, -1].float(), found.error, max(after, 0.0))


def moved(found: Products, step: Step) -> Products:
    """Return the products of the same rows once a step is taken."""
    taken = torch.cat([step.weights, step.constant[:, None]], 1).double()
    return replace(found, right=found.right - found.gram @ taken, error=step.after)
