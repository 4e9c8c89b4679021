"""Ridge: weights for which a layer's outputs are nearest to what is wanted, pulled towards the weights it has.

Hoerl and Kennard, "Ridge Regression", Technometrics 1970, with the present weights in place of zero: minimise
|A (W + D) - T|^2 + strength * mean(diag(A'A)) * |D|^2 over the step D. Closed form; what is held are sums of products,
not rows.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Step:
    """How weights change, [groups, columns, outputs], and the constant [groups, outputs]; squared errors."""

    weights: Tensor
    constant: Tensor
    before: float
    after: float


def solve(chunks: Iterable[tuple[Tensor, Tensor]], *, strength: float, constant: bool) -> Step:
    """Return the step that takes away most of the error.

    `chunks`: rows that a layer reads [groups, rows, columns], and the error of what it makes of them [groups, rows,
    outputs]. The constant is not pulled to zero; where there may be none it is zero. Products are in float32 within a
    chunk, their sums and the solution in float64.
    """
    gram = right = torch.zeros(())
    before, count = 0.0, 0
    for part, error in chunks:
        rows = torch.cat([part, part.new_full((*part.shape[:2], 1), float(constant))], 2)
        gram = gram + (rows.mT @ rows).double()
        right = right + (rows.mT @ error).double()
        before += float(error.square().sum(dtype=torch.float64))
        count += part.shape[1]
    pull = torch.zeros_like(gram.diagonal(dim1=1, dim2=2))
    mean = gram.diagonal(dim1=1, dim2=2)[:, :-1].mean(1, keepdim=True)
    pull[:, :-1] = (strength * mean).clamp_min(1e-12)  # a layer that reads nothing but zeros keeps its weights
    pull[:, -1] = 1e-9 * count if constant else 1.0
    step = torch.linalg.solve(gram + torch.diag_embed(pull), right)
    after = before + float((step * (gram @ step - 2 * right)).sum())
    return Step(step[:, :-1].float(), step[:, -1].float(), before, max(after, 0.0))
