"""Count multiply-accumulates of a forward pass by the weight that they use.

The counts are torch's own (`torch.utils.flop_counter`, halved), so closed forms over them agree with it.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from elastic.tracing.labels import Counted
from elastic.tracing.twin import Example, run


def count_operations(twin: nn.Module, example: Example, parameters: Mapping[str, Tensor]) -> tuple[Counted, ...]:
    """Return what costs MACs when the meta twin runs on the example, in forward order, one entry a weight.

    Gradients stay enabled: without them attention takes a fused path that torch's counter does not see.
    """
    counter = _Counter({t.untyped_storage()._cdata: (name, t) for name, t in parameters.items() if t.dim() >= 2})
    with torch.enable_grad(), counter:
        run(twin, example)
    return tuple(
        Counted(weight.rpartition(".")[0], kind, weight, macs) if weight else Counted("", kind, None, macs)
        for (weight, kind), macs in counter.found.items()
    )


# Asked of a tensor, not computed with it; they have nothing to decompose.
_QUESTIONS = {"size", "sym_size", "stride", "sym_stride", "storage_offset", "sym_storage_offset", "numel", "sym_numel"}
_QUESTIONS |= {"dim", "layout", "device", "is_contiguous", "sym_is_contiguous", "is_strides_like_format"}
_QUESTIONS |= {"is_non_overlapping_and_dense"}


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, weights: Mapping[int, tuple[str, Tensor]]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.weights = weights
        self.found: dict[tuple[str | None, str], int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        packet, kwargs = func.overloadpacket, kwargs or {}
        if packet not in flop_registry and packet.__name__ not in _QUESTIONS:
            with self:  # as torch's counter does: what has no formula is counted by its parts, where it has any
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        out = func(*args, **kwargs)
        if count := flop_registry.get(packet):
            self._add(packet, args, count(*args, **kwargs, out_val=out) // 2)
        return out

    def _add(self, packet: Any, args: Any, macs: int) -> None:
        kind = packet.__name__
        for argument in args:
            if isinstance(argument, Tensor) and (hit := self.weights.get(argument.untyped_storage()._cdata)):
                name, weight = hit
                if macs % weight.numel() == 0:
                    key = (name, "linear" if kind in ("addmm", "mm") else kind)
                    self.found[key] = self.found.get(key, 0) + macs // weight.numel()
                    return
        self.found[None, kind] = self.found.get((None, kind), 0) + macs
