"""Memory: how many images two networks can go through in step, given the bytes that may be alive at once."""

import weakref
from collections import Counter
from collections.abc import Callable
from typing import Any

import psutil
import torch
from torch import Tensor, nn

from elastic.watching.calls import Call, Watch

SHARE = 0.5  # of what is free, where no limit is given
HELD = 2.0  # times what is alive in a run: what waits for a sum, errors, and what is read of a layer's input


def images_that_fit(whole: nn.Module, model: nn.Module, inputs: Tensor, limit: int | None = None) -> int:
    """Return how many of the inputs both networks can go through in step within `limit` bytes, half of what is free.

    Measured on the first few, so it grows with what one image takes, not with a table of kinds of networks.
    """
    some = inputs[:2]
    bytes_each = HELD * (peak_bytes(lambda: whole(some)) + peak_bytes(lambda: model(some))) / len(some)
    free = limit if limit is not None else SHARE * psutil.virtual_memory().available
    return min(len(inputs), int(free / max(bytes_each, 1)))


def peak_bytes(forward: Callable[[], Any]) -> int:
    """Return the most bytes of activations that are alive at once in a run."""
    meter = _Meter()
    with torch.no_grad(), Watch(meter.answer):
        forward()
    return meter.peak


class _Meter:
    def __init__(self) -> None:
        self.tensors: Counter[int] = Counter()  # by storage
        self.alive = 0
        self.peak = 0

    def answer(self, call: Call) -> Any:
        made = call.run()
        for tensor in made if isinstance(made, tuple | list) else (made,):
            if isinstance(tensor, Tensor):
                self._born(tensor)
        return made

    def _born(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage.data_ptr(), storage.nbytes()
        if not self.tensors[key]:
            self.alive += size
            self.peak = max(self.peak, self.alive)
        self.tensors[key] += 1
        weakref.finalize(tensor, self._died, key, size)

    def _died(self, key: int, size: int) -> None:
        self.tensors[key] -= 1
        if not self.tensors[key]:
            self.alive -= size
