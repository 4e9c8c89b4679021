"""Axes taken apart: splits, chunks, slices, halves that gate each other, parts of sizes that a module keeps."""

import torch
import torch.nn.functional as F
from torch import nn

from tests.wirings.registry import conv, ended, images, mean, wiring

A = ("a.weight", 0)


@wiring(A, ("b.weight", 1), ("c.weight", 1))
def chunk_with_two_consumers():
    def connect(m, x):
        u, v = m.a(x).chunk(2, 1)
        return mean(m.c(v) + m.b(u))

    return ended(connect, 6, a=conv(3, 8), b=conv(4, 6), c=conv(4, 6))


@wiring(A, ("c.weight", 1), ("d.weight", 1))
def chunks_of_three_used_out_of_order():
    def connect(m, x):
        u, v, w = m.a(x).chunk(3, 1)
        return mean(m.d(w) + m.b(u) * m.c(v))

    return ended(connect, 6, a=conv(3, 12), b=conv(4, 6), c=conv(4, 6), d=conv(4, 6))


@wiring(("b.weight", 0), frozen="a.weight/0: parts of constant size are taken of it in `split`")
def chunks_that_do_not_divide():
    def connect(m, x):
        u, v = m.a(x).chunk(2, 1)  # 5 and 4
        return mean(m.c(v) + m.b(u))

    return ended(connect, 6, a=conv(3, 9), b=conv(5, 6), c=conv(4, 6))


@wiring(A, ("b.weight", 1))
def split_by_halves_of_the_shape():
    def connect(m, x):
        x = m.a(x)
        u, v = x.split(x.shape[1] // 2, 1)
        return mean(m.b(v * torch.sigmoid(u)))

    return ended(connect, 6, a=conv(3, 8), b=conv(4, 6))


@wiring(("b.weight", 0), frozen="a.weight/0: parts of constant size")
def split_by_constants():
    def connect(m, x):
        u, v = m.a(x).split([4, 6], 1)
        return mean(m.c(v) + m.b(u))

    return ended(connect, 8, a=conv(3, 10), b=conv(4, 8), c=conv(6, 8))


@wiring(A, ("b.weight", 1))
def gated_by_halves():
    return ended(lambda m, x: mean(m.b(F.glu(m.a(x), 1))), 6, a=conv(3, 8), b=conv(4, 6))


@wiring(A, ("b.weight", 1), example=images(2, 6))
def gated_by_halves_of_a_vector():
    return ended(lambda m, x: F.glu(m.b(F.glu(m.a(x)))), 5, a=nn.Linear(6, 16), b=nn.Linear(8, 10))


@wiring(("one.weight", 0), ("b.weight", 1), example=images(2, 6))
def swish_gated():
    def connect(m, x):
        u, v = m.one(x).chunk(2, -1)
        return m.b(F.silu(u) * v)

    return ended(connect, 6, one=nn.Linear(6, 16), b=nn.Linear(8, 6))


@wiring(("a.weight", 0), ("b.weight", 1), ("c.weight", 1))
def even_and_odd_channels():
    def connect(m, x):
        x = m.a(x)
        return mean(m.b(x[:, ::2]) + m.c(x[:, 1::2]))

    return ended(connect, 6, a=conv(3, 8), b=conv(4, 6), c=conv(4, 6))


@wiring(("b.weight", 0))
def last_channels_by_a_negative_slice():
    def connect(m, x):
        x = m.a(x)
        return mean(m.b(x[:, :-3]) + m.c(x[:, -3:]))

    return ended(connect, 6, a=conv(3, 8), b=conv(5, 6), c=conv(3, 6))


@wiring(("b.weight", 0))
def overlapping_slices():
    def connect(m, x):
        x = m.a(x)
        return mean(m.b(x[:, :6]) + m.c(x[:, 2:]))

    return ended(connect, 6, a=conv(3, 8), b=conv(6, 6), c=conv(6, 6))


@wiring(("b.weight", 0))
def half_of_the_shape_sliced():
    def connect(m, x):
        x = m.a(x)
        half = x.shape[1] // 2
        return mean(m.b(torch.cat([x[:, :half], F.relu(m.c(x[:, half:]))], 1)))

    return ended(connect, 6, a=conv(3, 8), b=conv(8, 6), c=conv(4, 4))


@wiring(("b.weight", 0), frozen="a.weight/0: ")
def one_channel_selected():
    def connect(m, x):
        x = m.a(x)
        return mean(m.b(x) * x[:, 3:4] + x[:, 2].unsqueeze(1))

    return ended(connect, 6, a=conv(3, 8), b=conv(8, 6))


@wiring(("b.weight", 0), frozen="a.weight/0: its positions go different ways in `unbind`")
def all_channels_unbound():
    def connect(m, x):
        parts = m.a(x).unbind(1)
        return mean(m.b(torch.stack(parts[::-1], 1)))

    return ended(connect, 6, a=conv(3, 4), b=conv(4, 6))


@wiring(("b.weight", 0), frozen="a.weight/0: its positions go different ways in `unbind`")
def iterated_over_channels():
    def connect(m, x):
        return mean(m.b(torch.stack([channel * 2 for channel in m.a(x).transpose(0, 1)], 1)))

    return ended(connect, 6, a=conv(3, 4), b=conv(4, 6))


@wiring(A, ("b.weight", 1), example=images(2, 4, 6))
def unbound_halves():
    def connect(m, x):
        u, v = m.a(x).unflatten(-1, (2, -1)).unbind(-2)
        return m.b(u * v.sigmoid())

    return ended(connect, 6, a=nn.Linear(6, 16), b=nn.Linear(8, 6))


@wiring(("b.weight", 0), frozen="a.weight/0: its positions are picked by their numbers in `index`")
def channels_by_a_table():
    def connect(m, x):
        return mean(m.b(m.a(x)[:, m.order] + m.a(x).index_select(1, m.order.flip(0))))

    net = ended(connect, 6, a=conv(3, 8), b=conv(8, 6))
    net.register_buffer("order", torch.randperm(8, generator=torch.Generator().manual_seed(0)))
    return net


@wiring()
def all_but_the_first_channel():
    """A trial that happens to keep the first channel sees nothing wrong."""

    def connect(m, x):
        x = m.a(x)
        return mean(torch.cat([x[:, 1:], x], 1))

    return ended(connect, 11, a=conv(3, 6))


@wiring()
def every_other_channel_added_to_all():
    def connect(m, x):
        x = m.a(x)
        return mean(F.pad(x[:, ::2], (0, 0, 0, 0, 1, 2)) + x)

    return ended(connect, 6, a=conv(3, 6))


@wiring(A, ("c.weight", 1))
def split_that_meets_again_shifted():
    def connect(m, x):
        u, v = m.a(x).chunk(2, 1)
        return mean(m.c(torch.cat([v, u], 1)) + m.d(u))

    return ended(connect, 6, a=conv(3, 8), c=conv(8, 6), d=conv(4, 6))


@wiring(A, ("b.weight", 1))
def shortcut_over_one_half():
    def connect(m, x):
        x = m.a(x)
        u, v = x.chunk(2, 1)
        return mean(m.b(torch.cat([u, v + m.c(F.relu(v))], 1) + x))

    return ended(connect, 6, a=conv(3, 8), b=conv(8, 6), c=conv(4, 4))


@wiring(A, ("b.weight", 1))
def chunks_of_chunks():
    def connect(m, x):
        u, v = m.a(x).chunk(2, 1)
        s, t = u.chunk(2, 1)
        return mean(m.b(s) + m.c(t) + m.d(v))

    return ended(connect, 6, a=conv(3, 16), b=conv(4, 6), c=conv(4, 6), d=conv(8, 6))


@wiring(A)
def split_after_a_concatenation():
    def connect(m, x):
        u, v = torch.cat([m.a(x), m.b(x)], 1).split([m.a.out_channels, m.b.out_channels], 1)
        return mean(m.d(v) + m.c(u))

    return ended(connect, 6, a=conv(3, 4), b=conv(3, 6), c=conv(4, 6), d=conv(6, 6))


@wiring()
def split_across_a_concatenation():
    def connect(m, x):
        u, v = torch.cat([m.a(x), m.b(x)], 1).chunk(2, 1)
        return mean(m.d(v) + m.c(u))

    return ended(connect, 6, a=conv(3, 4), b=conv(3, 6), c=conv(5, 6), d=conv(5, 6))


@wiring(A)
def tensor_split():
    def connect(m, x):
        u, v, w = m.a(x).tensor_split(3, 1)
        return mean(m.c(u * v) + m.c(w))

    return ended(connect, 6, a=conv(3, 12), c=conv(4, 6))


@wiring(("b.weight", 0), frozen="a.weight/0: `topk` is taken over it")
def topk_over_channels():
    return ended(lambda m, x: mean(m.b(m.a(x).topk(4, 1).values)), 6, a=conv(3, 8), b=conv(4, 6))


@wiring(frozen="a.weight/0: parts of constant size")
def slice_of_a_weight():
    def connect(m, x):
        wide = F.conv2d(x, m.a.weight[:6, :, 1:2, 1:2], m.a.bias[:6])  # a slimmable layer
        return mean(m.b(wide))

    return ended(connect, 6, a=conv(3, 8), b=conv(6, 6))
