"""Settling: thresholds moved together, so that what is computed of images comes to a share of the cost.

The controller that trains thresholds sees batches with statistics of their own; in eval mode, and after few steps, what
is computed may be some percent of the cost more or less than it came to.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from elastic.dynamic.counting import counters, in_all, reset, spent
from elastic.modes import eval_mode

NEAR = 1e-3  # of the cost: so far below the budget is near enough
FIRST, FURTHER, BETWEEN = 1e-2, 12, 40  # shifts that are tried: the first, how often four times that, and then between


def settle(
    network: nn.Module,
    batches: Iterable[Tensor],
    budget: float,
    elsewhere: int = 0,
    progress: Callable[[float], None] | None = None,
) -> float:
    """Change all thresholds by one number so that the images cost the budget or just below; return the number.

    The budget is a share of the cost; each image costs `elsewhere` in layers without gates (`Price.elsewhere`). Without
    images nothing moves. `progress` is told the share that each number that was tried came to. Counters are at zero
    afterwards. Raises NothingToGate without gates.
    """
    seen, device = list(batches), next(network.parameters()).device

    def share(shift: float) -> float:
        with moved(network, shift), eval_mode(network), torch.no_grad():
            reset(network)
            for images in seen:
                network(images.to(device))
            found = in_all(spent(network), elsewhere).share
        if progress is not None:
            progress(found)
        return found

    found = _shift(share, budget) if seen else 0.0
    _move(network, found)
    reset(network)
    return found


@contextlib.contextmanager
def moved(network: nn.Module, shift: float) -> Iterator[None]:
    """Change thresholds for a while."""
    thresholds = [threshold for threshold, _ in _thresholds(network)]
    kept = [threshold.clone() for threshold in thresholds]
    _move(network, shift)
    try:
        yield
    finally:
        for threshold, before in zip(thresholds, kept, strict=True):
            threshold.copy_(before)


def _move(network: nn.Module, shift: float) -> None:
    for threshold, sign in _thresholds(network):
        threshold.add_(sign * shift)


def _thresholds(network: nn.Module) -> list[tuple[Tensor, int]]:
    """Return thresholds, each with the sign of its moves: second ones, which close from above, go the other way."""
    gates: list[Any] = [network.get_submodule(f"{name}.gate") for name in counters(network)]
    above = [gate.threshold_above for gate in gates if getattr(gate, "threshold_above", None) is not None]
    return [(gate.threshold.detach(), 1) for gate in gates] + [(each.detach(), -1) for each in above]


def _shift(share: Callable[[float], float], budget: float) -> float:
    """Return a shift at which the share, which falls where shifts rise, is the budget or just below."""
    now = share(0.0)
    if budget - NEAR <= now <= budget:
        return 0.0
    is_over, near, far = now > budget, (0.0, now), (0.0, now)
    for number in range(FURTHER):
        shift = FIRST * 4**number * (1 if is_over else -1)
        near, far = far, (shift, share(shift))
        if (far[1] > budget) != is_over:
            break
    else:
        return far[0]  # all is open, and no more than the budget
    holds, over = (far, near) if is_over else (near, far)
    for _ in range(BETWEEN):
        if holds[1] >= budget - NEAR:
            break
        place = (budget - NEAR / 2 - holds[1]) / (over[1] - holds[1])  # on a straight line between the two
        shift = holds[0] + min(max(place, 0.1), 0.9) * (over[0] - holds[0])
        found = shift, share(shift)
        holds, over = (holds, found) if found[1] > budget else (found, over)
    return holds[0]
