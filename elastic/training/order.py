"""Order: which images make each step, by seed, epoch and step alone, so that any process can go on anywhere."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

LEAST = 2  # images a process: norms can't estimate from one
STRIDE = 1_000_003  # a prime, so that seeds and epochs don't meet


@dataclass(frozen=True)
class Order:
    """All images once an epoch, in an order of its own; the last batch is what is left, or left out if too small."""

    images: int
    batch_size: int
    seed: int
    processes: int = 1

    @property
    def steps(self) -> int:
        """The steps of an epoch."""
        left = self.images % self.batch_size
        return max(1, self.images // self.batch_size + (left >= LEAST * self.processes))

    def size(self, step: int) -> int:
        """Return how many images a step has, counted through all epochs."""
        return min(self.batch_size, self.images - step % self.steps * self.batch_size)

    def batches(self, step: int, until: int) -> Iterator[list[int]]:
        """Yield the images of each step from `step` to before `until`, counted through all epochs."""
        while step < until:
            epoch, first = divmod(step, self.steps)
            generator = torch.Generator().manual_seed(seed_of(self.seed, epoch))
            chosen = torch.randperm(self.images, generator=generator).tolist()
            last = min(self.steps, first + until - step)
            for number in range(first, last):
                yield chosen[number * self.batch_size : (number + 1) * self.batch_size]
            step += last - first


def part_of(total: int, rank: int, processes: int) -> slice:
    """Return which of so many images of a step a process takes."""
    return slice(rank * total // processes, (rank + 1) * total // processes)


def seed_of(seed: int, number: int) -> int:
    """Return a seed of its own for each number of an epoch or a step."""
    return seed * STRIDE + number
