"""Outputs: what the operations of a run take of memory, and how long it is held.

Tensors that share a storage are one output: views of it, and whatever is written into it. It is held until the last
operation that reads it has run, and, as eager torch does, until every module that it was given to has ended: whoever
calls a module holds what it gives.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from torch import Tensor

from elastic.dtypes import dtype_name
from elastic.plan import IntArray, Output


class Outputs:
    """The outputs of a run so far."""

    def __init__(self) -> None:
        self.made: list[Output] = []
        self._of_storage: dict[int, int | None] = {}  # None: it was there before
        self._alive: list[Tensor] = []  # so that no storage's address is used twice

    def note(
        self, inputs: Sequence[Tensor], outs: Sequence[Tensor], module: str, axes: Sequence[Mapping[int, IntArray]]
    ) -> None:
        """Change what is known by an operation that read and made these tensors, the latter with cells along `axes`."""
        self._alive += (*inputs, *outs)
        for tensor in inputs:
            self._of_storage.setdefault(_storage(tensor), None)
        first = len(self.made)
        for tensor, cells in zip(outs, axes, strict=True):
            if tensor.numel() and _storage(tensor) not in self._of_storage:
                self._of_storage[_storage(tensor)] = len(self.made)
                own = Output(module, tuple(tensor.shape), dtype_name(tensor.dtype), dict(cells), len(self.made))
                self.made.append(own)
        self.held(inputs)
        self._hold(range(first, len(self.made)))

    def held(self, tensors: Sequence[Tensor]) -> None:
        """Change until when tensors are held: by now they still are."""
        found = [self._of_storage.get(_storage(tensor)) for tensor in tensors]
        self._hold([number for number in found if number is not None])

    def _hold(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self.made[number] = replace(self.made[number], until=len(self.made) - 1)


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)
