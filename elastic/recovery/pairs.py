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

from elastic.recovery import ridge
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

    `reads`: products of what the first reads, of as many rows as these were seen on.
    """

    call: Call
    path: Sequence[Call]
    second: Branch
    reads: ridge.Factors
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
        slope, outer, before = self._carried_back(generator)
        step = self.reads.solve(slope * self.reads.count)
        step = torch.linalg.solve(outer, step.mT).mT.float()
        change = rows.times(self.layer, step[:, :-1], step[:, -1])
        length = self._length(change)
        for far in (length, LESS * length):
            made = self.made + far * change
            if self._error(made) < before:
                self.made = made
                self.step += far * step[:, :-1]
                self.constant += far * step[:, -1]
                return True
        return False

    def _carried_back(self, generator: torch.Generator) -> tuple[Tensor, Tensor, float]:
        """Return the slope of the squared error for the first's weights, the Jacobian's products, and the error."""
        slope = outer = torch.zeros((), dtype=torch.float64, device=self.made.device)
        positions, before = 0, 0.0
        for images in _parts(self.made):
            with torch.enable_grad():
                made = self.made[images].detach().requires_grad_()
                end = self.end(made.clone())
            error = self.second.wanted[images] - end.detach()
            before += _energy(error)
            signs = torch.randint(0, 2, end.shape, generator=generator).to(end).mul_(2).sub_(1)
            (back,) = torch.autograd.grad(end, made, error, retain_graph=True)
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
        return slope / positions, outer + damping, before

    def _length(self, change: Tensor) -> float:
        """Return how many steps away the error is least, were the end to go on as it bends at first."""
        along = squares = 0.0
        for images in _parts(self.made):
            now = self.end(self.made[images])
            bend = (self.end(self.made[images] + FIRST_TRY * change[images]) - now) / FIRST_TRY
            along += float(((self.second.wanted[images] - now) * bend).sum(dtype=torch.float64))
            squares += _energy(bend)
        return along / max(squares, 1e-30)

    def _error(self, made: Tensor) -> float:
        return sum(_energy(self.second.wanted[images] - self.end(made[images])) for images in _parts(made))


def after(made: Tensor, path: Sequence[Call]) -> Tensor:
    """Return what calls make, one of what the other made."""
    for call in path:
        made = call.run({0: made})
    return made


def _energy(error: Tensor) -> float:
    return float(error.square().sum(dtype=torch.float64))


def _parts(made: Tensor) -> Iterator[slice]:
    each = max(1, AT_ONCE * len(made) // made.numel())
    for first in range(0, len(made), each):
        yield slice(first, first + each)
