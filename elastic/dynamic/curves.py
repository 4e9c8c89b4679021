"""Curves: accuracy against what is spent, with the thresholds of one network moved up and down."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from elastic.data import evaluate
from elastic.dynamic.counting import Spent, counters, in_all, reset, spent


@dataclass(frozen=True)
class Point:
    """What a network reaches, in percent, and spends with its thresholds moved by `shift`."""

    shift: float
    top1: float
    spent: Spent


def curve(
    network: nn.Module,
    loader: DataLoader[tuple[Tensor, Tensor]],
    shifts: Sequence[float],
    elsewhere: int = 0,
    device: torch.device | str = "cpu",
) -> tuple[Point, ...]:
    """Return a point for each shift; the network, which must be on `device`, stays as it is, its counters at zero.

    Raises NothingToGate without gates.
    """
    found = []
    for shift in shifts:
        with _moved(network, shift):
            reset(network)
            top1 = evaluate(network, loader, device).top1
            found.append(Point(shift, top1, in_all(spent(network), elsewhere)))
    reset(network)
    return tuple(found)


@contextlib.contextmanager
def _moved(network: nn.Module, shift: float) -> Iterator[None]:
    """Change thresholds for a while; second ones, which close from above, go the other way."""
    gates: list[Any] = [network.get_submodule(f"{name}.gate") for name in counters(network)]
    moved = [(gate.threshold, shift) for gate in gates]
    moved += [(gate.threshold_above, -shift) for gate in gates if getattr(gate, "threshold_above", None) is not None]
    kept = [threshold.detach().clone() for threshold, _ in moved]
    with torch.no_grad():
        for threshold, by in moved:
            threshold.add_(by)
    try:
        yield
    finally:
        with torch.no_grad():
            for (threshold, _), before in zip(moved, kept, strict=True):
                threshold.copy_(before)
