"""Small networks by name: what a trace must find in each, and what it must freeze with a reason.

A wiring is a forward function over named layers. `cut` names axes that a trace must find elastic, `frozen` a pattern
that the reasons of a trace must match; `refused` the whole refusal where nothing at all is left to cut.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from elastic.tracing import Example


class Wired(nn.Module):
    """Layers and numbers by name, and the function that connects them."""

    def __init__(self, wiring: Callable[..., Any], **held: Any) -> None:
        super().__init__()
        self.wiring = wiring
        for name, value in held.items():
            setattr(self, name, value)

    def forward(self, *inputs, **named):
        return self.wiring(self, *inputs, **named)


@dataclass(frozen=True)
class Wiring:
    """A network to be made, what to call it with, and what a trace must say of it.

    `library` says that torch-pruning's graph finds it too.
    """

    make: Callable[[], nn.Module]
    example: Callable[[], Example]
    cut: tuple[tuple[str, int], ...] = ()
    frozen: str | None = None
    refused: str | None = None
    library: bool = False


WIRINGS: dict[str, Wiring] = {}


def images(*shape: int) -> Callable[[], torch.Tensor]:
    return lambda: torch.randn(shape or (1, 3, 6, 6), generator=torch.Generator().manual_seed(0))


def wiring(*cut: tuple[str, int], example: Callable[[], Example] | None = None, **claims: Any):
    """Return a decorator that adds a network to the wirings."""

    def add(make):
        assert make.__name__ not in WIRINGS
        WIRINGS[make.__name__] = Wiring(make, example or images(), cut, **claims)
        return make

    return add


def conv(ins, outs, size=3, **options):
    return nn.Conv2d(ins, outs, size, padding=size // 2, **options)


def mean(x):
    return x.mean((2, 3))  # [N, C, H, W] -> [N, C]


def ended(connect, *widths: int, **held: Any) -> nn.Module:
    """Return a network that ends in two linear layers, the first of which sees what `connect` makes, [.., width]."""
    width, *rest = widths
    hidden = rest[0] if rest else 6
    return Wired(
        lambda m, *inputs, **named: m.head(F.silu(m.last(connect(m, *inputs, **named)))),
        **held, last=nn.Linear(width, hidden), head=nn.Linear(hidden, 5),
    )  # fmt: skip
