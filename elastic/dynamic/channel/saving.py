"""Saving: what gates leave out in theory beside what skipping saves by the clock, for each layer and the network."""

import copy
import time
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from elastic.dynamic.channel.inference import inputs_of_layers, skipping_layers
from elastic.dynamic.channel.layers import channel_gates, choosing_norms
from elastic.dynamic.channel.network import ungated
from elastic.dynamic.counting import in_all, reset, spent
from elastic.errors import CannotSkip
from elastic.measuring import Call, Clock, median_seconds
from elastic.modes import eval_mode
from elastic.reporting.numbers import Cell
from elastic.reporting.tables import Table

TOTAL = "in all"


@dataclass(frozen=True)
class Saving:
    """One layer, or the network: shares of MACs and of open positions, and median seconds of a batch."""

    name: str
    computed: float  # of the dense MACs
    open: float
    dense: float
    masked: float
    skipping: float

    @property
    def in_theory(self) -> float:
        """How many times less was computed than in the dense layer."""
        return 1 / self.computed

    @property
    def measured(self) -> float:
        """How many times faster skipping was than the dense layer."""
        return self.dense / self.skipping

    def as_json(self) -> dict[str, float]:
        """Return all of it for programs; times are in seconds."""
        figures = {key: value for key, value in asdict(self).items() if key != "name"}
        return {**figures, "in_theory": self.in_theory, "measured": self.measured}


def savings(
    network: nn.Module,
    skipping: nn.Module,
    images: Tensor,
    *,
    elsewhere: int = 0,
    runs: int = 11,
    clock: Clock = time.perf_counter,
) -> tuple[Saving, ...]:
    """Return what was saved on these images in each layer that skips, and last in the whole network.

    `skipping` is what `skipping_network` made of `network`; both stay as they are. The dense network has no gates; all
    three lie with channels last, run in turns, and have one round of warm-up. A dense layer is the convolution alone,
    as if a norm behind it were folded; a masked or skipping one has the norm that its gates choose for. In the whole
    network no norm is folded but those. `elsewhere` are the MACs of all other layers for an image (`Price.elsewhere`);
    without it the last share is that of gated layers.

    Raises NothingToGate without gates, CannotSkip for a network that does not skip.
    """
    if not skipping_layers(skipping):
        raise CannotSkip(f"{type(skipping).__name__} does not skip; give what `skipping_network` made of the gated one")
    masked, skips = copy.deepcopy(network), copy.deepcopy(skipping)
    dense = ungated(network).eval()
    for one in (dense, masked):
        one.to(memory_format=torch.channels_last)
    images = images.contiguous(memory_format=torch.channels_last)
    time_of = partial(median_seconds, runs=runs, clock=clock, warm_up=1)
    with eval_mode(masked), torch.inference_mode():
        reset(skips)
        seen = inputs_of_layers(skips, images)
        cost = spent(skips)
        found = []
        for name, inputs in seen.items():
            seconds = time_of(_layer_runs(name, dense, masked, skips, inputs))
            found.append(Saving(name, cost[name].share, cost[name].open_share, **seconds))
        whole = in_all(cost, elsewhere)
        networks = {"dense": dense, "masked": masked, "skipping": skips}
        seconds = time_of({name: partial(each, images) for name, each in networks.items()})
    return *found, Saving(TOTAL, whole.share, whole.open_share, **seconds)


def savings_table(found: tuple[Saving, ...]) -> Table:
    """Return theory and measurement side by side, in milliseconds."""
    heads = ("layer", "open %", "MACs %", "dense ms", "masked ms", "skipping ms", "fewer MACs", "faster")
    rows = tuple(_row(each) for each in found)
    return Table("savings", "What skipping saves, in theory and by the clock", heads, rows)


def _row(each: Saving) -> tuple[Cell, ...]:
    shares = 100 * each.open, 100 * each.computed
    milliseconds = 1e3 * each.dense, 1e3 * each.masked, 1e3 * each.skipping
    return (each.name, *shares, *milliseconds, each.in_theory, each.measured)


def _layer_runs(name: str, dense: nn.Module, masked: nn.Module, skips: nn.Module, inputs: Tensor) -> dict[str, Call]:
    gated: Any = channel_gates(masked)[name]
    norm = choosing_norms(masked).get(name)
    behind = None if norm is None else masked.get_submodule(norm)
    plain, fast = dense.get_submodule(name), skips.get_submodule(name)
    return {
        "dense": lambda: plain(inputs),
        "masked": lambda: gated(inputs) if behind is None else behind(gated(inputs)),
        "skipping": lambda: fast(inputs),
    }
