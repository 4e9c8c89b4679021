"""Pairs: the first of two layers with an activation between, changed for the sake of what the second makes.

What the first made for channels that are gone can't be had back by refitting the second alone. So the error that the
second leaves is carried back to the first's output, and a Gauss-Newton step in closed form takes away most of it. The
curvature is that of Martens and Grosse, "Optimizing Neural Networks with Kronecker-factored Approximate Curvature",
ICML 2015, section 3: products of what the first reads, times products of the Jacobian behind it, these seen through
random signs (Hutchinson 1989). How far to go is the minimum along the step; no step is taken that doesn't help.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from elastic.recovery.branches import Branch
from elastic.watching import rows
from elastic.watching.calls import Call

AT_ONCE = 1 << 22  # values of the first layer's output that the error is carried back to at once
DAMPING = 1e-2  # of the Jacobian's products, times their mean
FIRST_TRY = 0.5  # of a whole step, to see how what follows bends
LESS = 0.3  # of the step, where the whole one doesn't help


@dataclass(eq=False)
class Pair:
    """The first layer as it is called, the calls after it, and the second with what follows; all on some images.

    `gram` [groups, columns + 1, columns + 1]: mean products of what the first reads, to solve with.
    """

    call: Call
    path: Sequence[Call]
    second: Branch
    gram: Tensor
    has_constant: bool

    def __post_init__(self) -> None:
        self.layer = rows.layer_of(self.call)
        self.made: Tensor = self.call.run()
        self.step = torch.zeros_like(rows.weights(self.layer))  # [groups, columns, outputs]
        self.constant = torch.zeros_like(self.step[:, 0])

    def read(self, made: Tensor) -> Tensor:
        """Return what the second layer reads of what the first makes."""
        return after(made, self.path)

    def end(self, made: Tensor) -> Tensor:
        """Return what arrives at the second's end."""
        return self.second.end(self.second.call.run({0: self.read(made)}))

    def advance(self, generator: torch.Generator) -> bool:
        """Change what the first makes by one step, if it takes away any error; return whether it does."""
        now = self.end(self.made)
        error = self.second.wanted - now
        slope, outer = self._carried_back(error, generator)
        step = torch.linalg.solve(self.gram, slope)
        step = torch.linalg.solve(outer, step.mT).mT.float()
        change = rows.times(self.layer, step[:, :-1], step[:, -1])
        bend = (self.end(self.made + FIRST_TRY * change) - now) / FIRST_TRY
        length = float((error * bend).sum() / bend.square().sum().clamp_min(1e-30))
        for far in (length, LESS * length):
            if float((self.second.wanted - self.end(self.made + far * change)).square().sum()) < error.square().sum():
                self.made = self.made + far * change
                self.step += far * step[:, :-1]
                self.constant += far * step[:, -1]
                return True
        return False

    def _carried_back(self, error: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return the slope of the squared error for the first's weights, and the Jacobian's products, means both."""
        slope = outer = torch.zeros((), dtype=torch.float64, device=error.device)
        positions = 0
        for images in _parts(self.made):
            with torch.enable_grad():
                made = self.made[images].detach().requires_grad_()
                end = self.second.end(self.second.call.run({0: self.read(made.clone())}))
            signs = torch.randint(0, 2, end.shape, generator=generator).to(end).mul_(2).sub_(1)
            (back,) = torch.autograd.grad(end, made, error[images], retain_graph=True)
            (seen,) = torch.autograd.grad(end, made, signs)
            seen = rows.every(seen, self.layer)  # [groups, rows, outputs]
            positions += seen.shape[1]
            outer = outer + (seen.mT @ seen).double()
            slope = slope + rows.products(self.layer, images, back).double()
        if not self.has_constant:
            slope[:, -1] = 0
        outer = outer / positions
        mean = outer.diagonal(dim1=1, dim2=2).mean(1).clamp_min(1e-30)
        damping = DAMPING * mean[:, None, None] * torch.eye(outer.shape[-1], dtype=outer.dtype, device=outer.device)
        return slope / positions, outer + damping


def after(made: Tensor, path: Sequence[Call]) -> Tensor:
    """Return what calls make, one of what the other made."""
    for call in path:
        made = call.run({0: made})
    return made


def _parts(made: Tensor) -> Iterator[slice]:
    each = max(1, AT_ONCE * len(made) // made.numel())
    for first in range(0, len(made), each):
        yield slice(first, first + each)
