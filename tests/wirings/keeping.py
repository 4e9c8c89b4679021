"""Modules that keep numbers of their widths, which a cut has to put right."""

import torch
import torch.nn.functional as F
from torch import nn

from tests.wirings.registry import conv, ended, mean, wiring

A = ("a.weight", 0)


class Mixed(nn.Module):
    """MixConv's: a kernel for each part, of sizes that are kept as a list."""

    def __init__(self):
        super().__init__()
        self.splits = [4, 6]
        self.b, self.c = conv(4, 4, groups=4), conv(6, 6, 5, groups=6)

    def forward(self, x):
        u, v = x.split(self.splits, 1)
        return torch.cat([self.b(u), self.c(v)], 1)


@wiring(A, ("mixed.b.weight", 0), ("mixed.c.weight", 0), ("last.weight", 1))
def split_by_a_list_that_a_module_keeps():
    return ended(lambda m, x: mean(m.mixed(m.a(x))), 10, a=conv(3, 10), mixed=Mixed())


class Hierarchic(nn.Module):
    """Res2Net's block: each part of `width` channels but the last sees the sum of its own and the one before."""

    def __init__(self, width=4, scale=3):
        super().__init__()
        self.width, self.scale = width, scale
        self.first = conv(3, width * scale, 1)
        self.convs = nn.ModuleList(conv(width, width) for _ in range(scale - 1))
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(scale - 1))
        self.last = conv(width * scale, 8, 1)

    def forward(self, x):
        parts = self.first(x).split(self.width, 1)
        outs, previous = [], None
        for number, (layer, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            previous = parts[number] if previous is None else previous + parts[number]
            previous = F.relu(norm(layer(previous)))
            outs.append(previous)
        return self.last(torch.cat([*outs, parts[self.scale - 1]], 1))


@wiring(("block.first.weight", 0), ("block.convs.0.weight", 0), ("block.convs.1.weight", 1), ("block.last.weight", 1))
def parts_of_a_width_that_a_module_keeps():
    return ended(lambda m, x: mean(m.block(x)), 8, block=Hierarchic())


class Ghost(nn.Module):
    """Cheap maps beside real ones, and what is too many sliced off."""

    def __init__(self, ins, outs):
        super().__init__()
        self.outs = outs
        self.primary = conv(ins, (outs + 1) // 2, 1)
        self.cheap = conv((outs + 1) // 2, (outs + 1) // 2, groups=(outs + 1) // 2)

    def forward(self, x):
        x = F.relu(self.primary(x))
        return torch.cat([x, F.relu(self.cheap(x))], 1)[:, : self.outs]


@wiring(("ghost.primary.weight", 0), ("ghost.cheap.weight", 0))
def slice_that_takes_all():
    return ended(lambda m, x: mean(m.ghost(x)), 8, ghost=Ghost(3, 8))


@wiring()
def slice_by_a_number_that_a_module_keeps():
    return ended(lambda m, x: mean(m.ghost(x)), 7, ghost=Ghost(3, 7))
