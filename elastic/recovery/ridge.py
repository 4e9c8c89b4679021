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

    def __add__(self, other: "Products") -> "Products":
        return Products(
            self.gram + other.gram, self.right + other.right, self.error + other.error, self.count + other.count
        )


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
    gram = right = torch.zeros(())
    squares, count = 0.0, 0
    for part, error in chunks:
        rows = torch.cat([part, part.new_full((*part.shape[:2], 1), float(constant))], 2)
        gram = gram.to(rows.device) + (rows.mT @ rows).double()
        right = right.to(rows.device) + (rows.mT @ error).double()
        squares += float(error.square().sum(dtype=torch.float64))
        count += part.shape[1]
    return Products(gram, right, squares, count)


def pulled(found: Products, strength: float) -> Tensor:
    """Return the products of columns with the pull added: the matrix to solve with. The constant is not pulled."""
    diagonal = found.gram.diagonal(dim1=1, dim2=2)
    pull = torch.zeros_like(diagonal)
    mean = diagonal[:, :-1].mean(1, keepdim=True)
    pull[:, :-1] = (strength * mean).clamp_min(1e-12)  # a layer that reads nothing but zeros keeps its weights
    pull[:, -1] = torch.where(diagonal[:, -1] > 0, 1e-9 * found.count, 1.0)
    return found.gram + torch.diag_embed(pull)


def solve(found: Products, *, strength: float) -> Step:
    """Return the step that takes away most of the error."""
    step = torch.linalg.solve(pulled(found, strength), found.right)
    after = found.error + float((step * (found.gram @ step - 2 * found.right)).sum())
    return Step(step[:, :-1].float(), step[:, -1].float(), found.error, max(after, 0.0))


def moved(found: Products, step: Step) -> Products:
    """Return the products of the same rows once a step is taken."""
    taken = torch.cat([step.weights, step.constant[:, None]], 1).double()
    return replace(found, right=found.right - found.gram @ taken, error=step.after)
