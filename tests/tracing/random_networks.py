"""Random networks out of all rules, and programs that hypothesis draws for them."""

import functools

import torch
from hypothesis import strategies as st
from torch import nn

from elastic.errors import NothingToPrune
from elastic.tracing import trace
from elastic.tracing.twin import random_twin
from tests.wirings import steps_of_layers
from tests.wirings.steps import SIDE, STEPS, TWO_MAPS

assert steps_of_layers.__name__  # its steps are known now

WIDEST = 48


@st.composite
def programs(draw, most_steps=6):
    """Return a program: steps as (kind, first map, second map, a small number), and how it ends."""
    steps = [("conv", 0, 0, draw(st.integers(1, 4)))]
    for made in range(1, draw(st.integers(2, most_steps))):
        kind = draw(st.sampled_from(sorted(STEPS)))
        first = made - min(draw(st.integers(0, 2)), made - 1)  # recent maps are taken more often
        steps.append((kind, first, draw(st.integers(1, made)), draw(st.integers(1, 4))))
    return (*steps, (draw(st.sampled_from(["pool", "flatten"])), 0, 0, 0))


class Stepped(nn.Module):
    """A network that runs a program; the head sees all maps that no step took. What can't be made is left out."""

    def __init__(self, program):
        super().__init__()
        self.end = program[-1][0]
        self.layers = nn.ModuleList()
        self.taken = []
        widths, free, numbers = [3], {0}, {0: 0}
        for number, (kind, first, second, size) in enumerate(program[:-1], 1):
            first, second = numbers[first], numbers[second]
            made = STEPS[kind](widths[first], widths[second], size)
            if made is None or made[1] > WIDEST:
                numbers[number] = first
                continue
            free -= {first, second} if kind in TWO_MAPS else {first}
            numbers[number] = len(widths)
            free.add(len(widths))
            widths.append(made[1])
            self.layers.append(made[0])
            self.taken.append((first, second))
        self.free = sorted(free)
        width = sum(widths[number] for number in self.free) * (SIDE**2 if self.end == "flatten" else 1)
        self.last, self.head = nn.Linear(width, 7), nn.Linear(7, 5)

    def forward(self, x):
        maps = [x]
        for layer, (first, second) in zip(self.layers, self.taken, strict=True):
            maps.append(layer(maps[first], maps[second]))
        x = torch.cat([maps[number] for number in self.free], 1)
        return self.head(torch.tanh(self.last(x.mean((2, 3)) if self.end == "pool" else x.flatten(1))))


@functools.lru_cache(maxsize=64)
def traced(program):
    """Return (model in float64 with random weights, example, plan), None where nothing can be cut."""
    torch.manual_seed(len(program))
    model = random_twin(Stepped(program).eval()).double()
    example = torch.randn(2, 3, SIDE, SIDE, dtype=torch.float64)
    try:
        return model, example, trace(model, example)
    except NothingToPrune:
        return None
