"""Random networks and random levels for hypothesis.

A program is a tuple of steps, a step a kind and the numbers of the feature maps that it takes; `Interpreted` runs it.
Every step appends one feature map, and the head sees all that no step took, so that nothing is dead.
"""

import functools

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from torch import nn

from elastic.errors import NothingToPrune
from elastic.plan import Plan
from elastic.tracing import trace

Program = tuple[tuple, ...]
SIDE = 4  # pixels

ONE_MAP = ["conv", "norm", "relu", "depthwise", "multiplied", "grouped", "shared", "excite", "split", "apart", "paired"]
TWO_MAPS = ["add", "cat", "gate"]


@st.composite
def programs(draw, most_steps: int = 7) -> Program:
    """Return a program, each step as (kind, first map, second map, a small number for widths)."""
    steps = [("conv", 0, 0, draw(st.integers(1, 4)))]
    for made in range(1, draw(st.integers(2, most_steps))):
        kind = draw(st.sampled_from(ONE_MAP + TWO_MAPS))
        # Recent maps are taken more often, so that networks are deep rather than wide.
        first = made - min(draw(st.integers(0, 2)), made - 1)
        steps.append((kind, first, draw(st.integers(1, made)), draw(st.integers(1, 4))))
    return (*steps, (draw(st.sampled_from(["pool", "flatten"])), 0, 0, 0))


@st.composite
def networks(draw):
    """Return (model in float64, example input, plan) of a random network with something to prune."""
    return traced(draw(programs().filter(lambda program: traced(program) is not None)))


@st.composite
def networks_with_levels(draw, most: int = 4):
    """Return (model, example, plan, levels); each group keeps a unit at level 0, the others may be of any level."""
    model, example, plan = draw(networks())
    levels = np.array(draw(st.lists(st.integers(0, most - 1), min_size=plan.units, max_size=plan.units)), np.uint8)
    for group in plan.groups:
        levels[draw(st.sampled_from(group.units.tolist()))] = 0
    return model, example, plan, levels


@functools.lru_cache(maxsize=256)
def traced(program: Program) -> tuple[nn.Module, torch.Tensor, Plan] | None:
    torch.manual_seed(len(program))
    model = Interpreted(program).double().eval()
    example = torch.randn(1, 3, SIDE, SIDE, dtype=torch.float64)
    try:
        return model, example, trace(model, example)
    except NothingToPrune:
        return None


class Interpreted(nn.Module):
    """A network that runs a program; `layers` has those of each step, by its number."""

    def __init__(self, program: Program) -> None:
        super().__init__()
        self.program = program
        self.layers = nn.ModuleDict()
        self.widths = [3]
        self.free = {0}
        self.sizes = {}  # of the parts of each split
        for number, (kind, first, second, size) in enumerate(program[:-1], 1):
            self.free -= {first, second} if kind in TWO_MAPS else {first}
            self.free.add(number)
            self._build(str(number), kind, self.widths[first], self.widths[second], size)
        last = sum(self.widths[number] for number in self.free)
        self.head = nn.Linear(last * (SIDE**2 if program[-1][0] == "flatten" else 1), 5)

    def _build(self, name: str, kind: str, a: int, b: int, size: int) -> None:
        out, layer = a, None
        if kind == "conv":
            out = 2 * size
            layer = nn.Conv2d(a, out, 3, padding=1, bias=size % 2 == 0)
        elif kind == "norm":
            layer = nn.BatchNorm2d(a)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.uniform_(layer.running_mean)
        elif kind == "depthwise":
            layer = nn.Conv2d(a, a, 3, padding=1, groups=a)
        elif kind == "multiplied":
            out = 2 * a
            layer = nn.Conv2d(a, out, 1, groups=a)
        elif kind == "grouped":
            groups = 2 if a % 2 == 0 else 1
            out = groups * size
            layer = nn.Conv2d(a, out, 1, groups=groups)
        elif kind == "shared":
            layer = nn.Conv2d(a, a, 3, padding=1)
        elif kind == "excite":
            layer = nn.Sequential(nn.Conv2d(a, size, 1), nn.ReLU(), nn.Conv2d(size, a, 1))
        elif kind == "split" or (kind == "apart" and a % 2 == 0):
            out = 2 * size
            self.sizes[name] = [(a + 1) // 2, a - (a + 1) // 2] if a > 1 else [1]
            layer = nn.ModuleList(nn.Conv2d(part, out, 1) for part in self.sizes[name])
        elif kind == "paired" and a % 2 == 0:
            out = a // 2
            self.sizes[name] = [out, out]
        elif kind in ("add", "gate"):
            layer = nn.Conv2d(b, a, 1) if a != b else nn.Identity()
        elif kind == "cat":
            out = a + b
        if layer is not None:
            self.layers[name] = layer
        self.widths.append(out)

    def forward(self, x):
        maps = [x]
        for number, (kind, first, second, _) in enumerate(self.program[:-1], 1):
            maps.append(self._step(str(number), kind, maps[first], maps[second]))
        x = torch.cat([maps[number] for number in sorted(self.free)], 1)
        return self.head(x.mean((2, 3)) if self.program[-1][0] == "pool" else x.flatten(1))

    def _step(self, name, kind, x, y):
        layer = self.layers[name] if name in self.layers else None  # noqa: SIM401  # a ModuleDict has no get
        if kind == "shared":
            return layer(F.relu(layer(x)))
        if kind == "excite":
            return x * layer(x.mean((2, 3), keepdim=True)).sigmoid()
        if kind == "split":  # into parts of constant sizes, the last used first
            parts = list(zip(layer, x.split(self.sizes[name], 1), strict=True))
            return sum(convolution(part) for convolution, part in reversed(parts))
        if kind == "apart" and layer is not None:  # into halves of whatever there is, each with its own consumer
            u, v = x.chunk(2, 1)
            return layer[1](v) + layer[0](u)
        if kind == "paired" and name in self.sizes:  # into halves that meet again
            u, v = x.chunk(2, 1)
            return u * v.sigmoid()
        if kind == "add":
            return x + layer(y)
        if kind == "gate":
            return x * layer(y).sigmoid()
        if kind == "cat":
            return torch.cat([x, y], 1)
        return F.relu(x) if layer is None else layer(x)
