"""Layers and weights used twice, several inputs and outputs, in-place writes, images of several sizes."""

import torch
import torch.nn.functional as F
from torch import nn

from tests.wirings.registry import Wired, conv, ended, images, mean, wiring

A = ("a.weight", 0)
B = ("b.weight", 1)


def tokens():
    return torch.tensor([[1, 4, 2], [0, 3, 3]])


@wiring(("embed.weight", 1), ("a.weight", 0), example=tokens)
def tied_embedding():
    net = Wired(
        lambda m, x: m.out(m.norm(m.embed(x) + m.b(F.relu(m.a(m.embed(x)))))),
        embed=nn.Embedding(9, 8), a=nn.Linear(8, 10), b=nn.Linear(10, 8), norm=nn.LayerNorm(8), out=nn.Linear(8, 9),
    )  # fmt: skip
    net.out.weight = net.embed.weight
    return net


@wiring(("embed.weight", 1), B, example=tokens)
def bag_of_embeddings():
    return ended(lambda m, x: m.b(m.embed(x)), 6, embed=nn.EmbeddingBag(6, 8), b=nn.Linear(8, 6))


@wiring(("embed.weight", 1), ("place.weight", 1), B, example=tokens)
def embeddings_with_places():
    return ended(
        lambda m, x: m.b(m.embed(x) + m.place(torch.arange(3, device=x.device))).mean(1), 6,
        embed=nn.Embedding(7, 8, padding_idx=0), place=nn.Embedding(3, 8), b=nn.Linear(8, 6),
    )  # fmt: skip


@wiring(("a.weight", 0), ("a.weight", 1), example=images(2, 6))
def weight_used_both_ways():
    """A tied autoencoder: a matrix and its transpose."""
    return ended(
        lambda m, x: F.linear(F.relu(m.a(m.first(x))), m.a.weight.t()), 8, first=nn.Linear(6, 8), a=nn.Linear(8, 7)
    )


@wiring(("a.weight", 0), ("shared.weight", 0), ("fuse.weight", 1))
def head_shared_by_maps_of_two_sizes():
    def connect(m, x):
        x = m.a(x)
        y = m.b(F.max_pool2d(x, 2))
        outs = [m.shared(F.relu(m.norm(level))) for level in (x, y)]
        return mean(m.fuse(F.interpolate(outs[1], size=outs[0].shape[2:]) + outs[0]))

    return ended(connect, 6, a=conv(3, 8), b=conv(8, 8), norm=nn.BatchNorm2d(8), shared=conv(8, 10), fuse=conv(10, 6))


@wiring(("a.weight", 0), ("b.weight", 0), ("c.weight", 0))
def pyramid():
    """FPN."""

    def connect(m, x):
        x = F.relu(m.a(x))
        y = F.relu(m.b(F.max_pool2d(x, 2)))
        top = m.c(y)
        low = m.d(x) + F.interpolate(top, scale_factor=2, mode="nearest")
        return mean(m.e(low)) + mean(m.e(top))

    return ended(connect, 6, a=conv(3, 8), b=conv(8, 10), c=conv(10, 7, 1), d=conv(8, 7, 1), e=conv(7, 6))


@wiring(("a.weight", 0), ("b.weight", 0), ("up.weight", 1), ("c.weight", 1))
def u_shape():
    def connect(m, x):
        x = F.relu(m.a(x))
        y = F.relu(m.b(F.max_pool2d(x, 2)))
        return mean(m.c(torch.cat([x, m.up(y), F.interpolate(y, scale_factor=2, mode="bilinear")], 1)))

    return ended(connect, 6, a=conv(3, 8), b=conv(8, 10), up=nn.ConvTranspose2d(10, 7, 2, 2), c=conv(25, 6))


@wiring(
    ("a.weight", 0),
    ("b.weight", 1),
)
def sampled_by_a_grid():
    def connect(m, x):
        x = m.a(x)
        grid = m.where(x).permute(0, 2, 3, 1).tanh()
        return mean(m.b(F.grid_sample(x, grid, align_corners=False)))

    return ended(connect, 6, a=conv(3, 8), where=conv(8, 2), b=conv(8, 6))


@wiring(("a.weight", 0), ("t.weight", 0), ("b.weight", 1), example=images(1, 3, 8))
def transposed_by_groups_with_a_multiplier():
    return ended(
        lambda m, x: m.b(F.relu(m.t(m.a(x)))).mean(2), 6,
        a=nn.Conv1d(3, 8, 3), t=nn.ConvTranspose1d(8, 16, 2, stride=2, groups=8), b=nn.Conv1d(16, 6, 1),
    )  # fmt: skip


@wiring(("a.weight", 0), ("g.weight", 0), ("h.weight", 0), ("dw.weight", 0), ("b.weight", 1))
def groups_of_three_sizes_on_one_stream():
    def connect(m, x):
        x = m.a(x)
        return mean(m.b(x + m.g(x) + m.h(x) + m.dw(x)))

    return ended(
        connect, 6, a=conv(3, 12), g=conv(12, 12, groups=3), h=conv(12, 12, groups=4), dw=conv(12, 12, groups=12),
        b=conv(12, 6),
    )  # fmt: skip


@wiring(("a.weight", 0), ("c.weight", 0), B)
def branches_of_a_repvgg():
    def connect(m, x):
        x = F.relu(m.a(x))
        return mean(m.b(F.relu(m.n1(m.c(x)) + m.n2(m.d(x)) + m.n3(x))))

    return ended(
        connect, 6, a=conv(3, 8), c=conv(8, 8), d=conv(8, 8, 1), n1=nn.BatchNorm2d(8), n2=nn.BatchNorm2d(8),
        n3=nn.BatchNorm2d(8), b=conv(8, 6),
    )  # fmt: skip


@wiring(("b.weight", 0), example=images(2, 4))
def groups_of_a_convolution_down_to_one():
    """A cut that leaves one group of two leaves a plain convolution."""
    return ended(
        lambda m, x: m.b(F.relu(m.a(x.unsqueeze(-1)))).flatten(1),
        6,
        a=nn.Conv1d(4, 8, 1),
        b=nn.Conv1d(8, 6, 1, groups=2),
    )


@wiring(("embed.weight", 1), ("b.weight", 1), example=tokens)
def embedding_that_counts_as_many_elements_as_its_table():
    return ended(lambda m, x: m.b(m.embed(x)).mean(1), 6, embed=nn.Embedding(6, 8), b=nn.Linear(8, 6))


@wiring(example=tokens)
def embedding_normalised_token_by_token():
    return ended(
        lambda m, x: m.b(m.norm(m.embed(x))).mean(1),
        6,
        embed=nn.Embedding(7, 8),
        norm=nn.InstanceNorm1d(3),
        b=nn.Linear(8, 6),
    )


@wiring(A, B)
def a_part_written_in_place():
    def connect(m, x):
        y = m.a(x)
        y[..., :3] = F.relu(y[..., :3])
        y[:, :, 0] = 0.5
        return mean(m.b(y))

    return ended(connect, 6, a=conv(3, 8), b=conv(8, 6))


@wiring(("b.weight", 0), frozen="a.weight/0: ")
def channels_written_in_place():
    def connect(m, x):
        y = m.a(x).clone()
        y[:, :2] = m.c(x)
        return mean(m.b(y))

    return ended(connect, 6, a=conv(3, 8), c=conv(3, 2), b=conv(8, 6))


@wiring(A, B)
def halves_written_in_place():
    def connect(m, x):
        y = m.a(x)
        half = y.shape[1] // 2
        y[:, :half].copy_(m.c(x))
        return mean(m.b(y))

    return ended(connect, 6, a=conv(3, 8), c=conv(3, 4), b=conv(8, 6))


@wiring(A, B)
def an_empty_map_filled():
    def connect(m, x):
        y = m.a(x)
        z = torch.zeros_like(y)
        z[:] = y
        z.add_(y, alpha=2).mul_(0.5)
        return mean(m.b(z))

    return ended(connect, 6, a=conv(3, 8), b=conv(8, 6))


@wiring(("b.weight", 0), frozen="a.weight/0: `sum` is taken over it")
def summed_after_a_view_was_shifted():
    def connect(m, x):
        y = m.a(x)
        y.view(-1).add_(1.0)
        return mean(m.b(y * y.sum(1, keepdim=True)))

    return ended(connect, 6, a=conv(3, 8), b=conv(8, 6))


@wiring(("b.weight", 0), frozen="a.weight/0: `sum` is taken over it")
def summed_after_a_view_was_filled():
    def connect(m, x):
        y = m.a(x)
        y[..., 0] = 1.0
        return mean(m.b(y * y.sum(1, keepdim=True)))

    return ended(connect, 6, a=conv(3, 8), b=conv(8, 6))
