"""Curves: accuracy against what is spent, with the thresholds of one network moved up and down."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from elastic.data import evaluate
from elastic.dynamic.counting import Spent, in_all, reset, spent
from elastic.dynamic.settling import moved


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
        with moved(network, shift):
            reset(network)
            top1 = evaluate(network, loader, device).top1
            found.append(Point(shift, top1, in_all(spent(network), elsewhere)))
    reset(network)
    return tuple(found)
