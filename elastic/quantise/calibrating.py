"""Calibrating: what the layers of a network get as inputs on a few batches, in the network without rounding."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from elastic.errors import DataError
from elastic.modes import eval_mode
from elastic.quantise.activations import Seen

SAMPLE = 4096  # values of a batch that a step is chosen by


@dataclass(eq=False)
class _Watch:
    lowest: float = 0.0
    tops: list[Tensor] = field(default_factory=list)
    samples: list[Tensor] = field(default_factory=list)

    def look(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        values = inputs[0].detach().float().flatten()
        low, high = values.aminmax()
        self.lowest = min(self.lowest, float(low))
        self.tops.append(torch.maximum(high, -low).cpu())
        spread = values[:: max(1, len(values) // SAMPLE)]
        self.samples.append(torch.cat([spread, low[None], high[None]]).cpu())

    def seen(self) -> Seen:
        return Seen(self.lowest < 0, torch.stack(self.tops), torch.cat(self.samples))


@torch.no_grad()
def inputs_seen(network: nn.Module, layers: Mapping[str, nn.Module], batches: Iterable[Tensor]) -> dict[str, Seen]:
    """Return what each of the network's layers got; one that was never called is left out.

    The network runs in eval mode on batches [n, ..] and stays as it is. Raises DataError without batches, or for
    inputs that are no numbers.
    """
    watches = {name: _Watch() for name in layers}
    handles = [layer.register_forward_pre_hook(watches[name].look) for name, layer in layers.items()]
    try:
        with eval_mode(network):
            count = sum(1 for _ in map(_of(network), batches))
    finally:
        for handle in handles:
            handle.remove()
    if not count:
        raise DataError("there are no batches to calibrate on; give at least one")
    found = {name: watch.seen() for name, watch in watches.items() if watch.tops}
    for name, seen in found.items():
        if not seen.tops.isfinite().all():
            raise DataError(f"inputs of {name} are not finite numbers in calibration; look at the images and weights")
    return found


def _of(network: nn.Module) -> Callable[[Tensor], Any]:
    device = next(network.parameters()).device
    return lambda batch: network(batch.to(device))
