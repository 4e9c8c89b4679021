"""Memory: how many images two networks can go through in step, given the bytes that may be alive at once."""

import weakref
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psutil
import torch
from torch import Tensor, nn

from elastic.errors import DataError
from elastic.sizes import size_text
from elastic.watching import rows
from elastic.watching.calls import LAYERS, Call, Watch

SHARE = 0.5  # of what is free, where no limit is given
HELD = 2.0  # times what is alive in a run: what waits for a sum, errors, and what is read of a layer's input
COPIES = 3  # of the products of a layer's columns: sums, new ones, and factors
DOUBLE = 8  # bytes of a product


@dataclass(frozen=True)
class Peak:
    """The most bytes of activations that are alive at once in a run, and the bytes of its layers' products."""

    activations: int
    products: tuple[int, ...]


def parts_that_fit(whole: nn.Module, model: nn.Module, inputs: Tensor, limit: int | None = None) -> tuple[Tensor, ...]:
    """Return the inputs in as few parts as both networks can go through in step within `limit` bytes.

    Measured on the first few, so it grows with what one image takes, not with a table of kinds of networks. Without a
    limit half of what is free is taken, and single images where not even that is enough.

    Raises DataError if one image needs more than the limit.
    """
    some = inputs[:2]
    cut = peak_of(lambda: model(some))
    each = HELD * (peak_of(lambda: whole(some)).activations + cut.activations) / len(some)
    free = limit if limit is not None else SHARE * psutil.virtual_memory().available
    working = COPIES * max(cut.products, default=0)
    if working + each * len(inputs) <= free:
        return (inputs,)
    fixed = working + sum(cut.products)  # kept from part to part
    fitting = int((free - fixed) / max(each, 1.0))
    if fitting < 1 and limit is not None:
        raise DataError(
            f"a repair with one input of {list(inputs.shape[1:])} at a time needs {size_text(fixed + each)}: "
            f"{size_text(fixed)} for products of what layers read and {size_text(each)} for the input; the limit is "
            f"{size_text(limit)}; give more (memory=), or smaller inputs"
        )
    return inputs.tensor_split(-(-len(inputs) // max(fitting, 1)))


def peak_of(forward: Callable[[], Any]) -> Peak:
    """Return what a run holds."""
    meter = _Meter()
    with torch.no_grad(), Watch(meter.answer):
        forward()
    return Peak(meter.peak, tuple(meter.products))


class _Meter:
    def __init__(self) -> None:
        self.tensors: Counter[int] = Counter()  # by storage
        self.alive = 0
        self.peak = 0
        self.products: list[int] = []

    def answer(self, call: Call) -> Any:
        if call.name in LAYERS:
            layer = rows.layer_of(call)
            self.products.append(DOUBLE * layer.groups * (layer.columns + 1) ** 2)
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
