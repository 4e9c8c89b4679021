"""What goes in and comes out, what a network is made for, and layers that stay whole."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations

from tests.wirings.basics import chain
from tests.wirings.registry import Wired, conv, images, mean, wiring


@wiring(("embed.weight", 1), ("head.weight", 1), example=lambda: torch.tensor([[1, 4, 2], [0, 3, 3]]), library=True)
def embedding():
    return Wired(lambda m, x: m.head(m.embed(x)), embed=nn.Embedding(6, 8), head=nn.Linear(8, 5))


@wiring(("a.weight", 0), ("scale", 1), ("b.weight", 1))
def buffer_per_channel():
    net = Wired(lambda m, x: m.head(mean(m.b(m.a(x) * m.scale))), a=conv(3, 8), b=conv(8, 6), head=nn.Linear(6, 5))
    net.register_buffer("scale", torch.rand(1, 8, 1, 1) + 0.5)
    return net


@wiring(("b.weight", 0), example=images(1, 6, 5, 5), frozen="a.weight/0.*(the network's input|broadcast)", library=True)
def input_added_to_a_feature_map():
    return Wired(lambda m, x: m.head(mean(m.b(x + m.a(x)))), a=conv(6, 6), b=conv(6, 8), head=nn.Linear(8, 5))


@wiring(
    ("b.weight", 0),
    example=images(2, 4, 8),
    library=True,
)
def attention():
    def connect(m, x):
        x = m.a(x)
        return m.head(F.relu(m.b(x + m.mix(x, x, x)[0])))

    return Wired(
        connect,
        a=nn.Linear(8, 8), mix=nn.MultiheadAttention(8, 2, batch_first=True), b=nn.Linear(8, 12), head=nn.Linear(12, 5),
    )  # fmt: skip


@wiring(("b.weight", 0), example=images(2, 4, 8), frozen="mix.weight_hh_l0/0: LSTM can't be followed", library=True)
def recurrent():
    return Wired(
        lambda m, x: m.head(F.relu(m.b(m.mix(m.a(x))[0]))),
        a=nn.Linear(8, 6), mix=nn.LSTM(6, 7, batch_first=True), b=nn.Linear(7, 12), head=nn.Linear(12, 5),
    )  # fmt: skip


@wiring(("a.weight", 0), ("b.weight", 1))
def flattened_channels_last():
    return Wired(
        lambda m, x: m.head(F.relu(m.b(m.a(x).permute(0, 2, 3, 1).flatten(1)))),
        a=conv(3, 4), b=nn.Linear(4 * 36, 6), head=nn.Linear(6, 5),
    )  # fmt: skip


@wiring(("a.weight", 0), ("b.weight", 1))
def shuffled_pixels():
    return Wired(
        lambda m, x: m.head(mean(F.relu(m.b(F.pixel_shuffle(m.a(x), 2))))),
        a=conv(3, 8), b=conv(2, 6), head=nn.Linear(6, 5),
    )  # fmt: skip


@wiring(("a.weight", 0), ("b.weight", 1))
def shuffled_channels():
    def connect(m, x):
        x = m.a(x)
        n, c, h, w = x.shape
        x = x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        return m.head(mean(F.relu(m.b(x))))

    return Wired(connect, a=conv(3, 8), b=conv(8, 6), head=nn.Linear(6, 5))


@wiring(("b.weight", 0), frozen="a.weight/0: parts of constant size are taken of it in `slice", library=True)
def selected_channels():
    return Wired(
        lambda m, x: m.head(mean(F.relu(m.b(m.a(x)[:, 2:6])))), a=conv(3, 8), b=conv(4, 6), head=nn.Linear(6, 5)
    )


@wiring(("b.weight", 0), frozen="a.weight/0.*shape '.-1, 8, 36.' is invalid", library=True)
def constant_in_forward():
    def connect(m, x):
        x = m.a(x)
        return m.head(F.relu(m.b(x.view(-1, 8, 36).mean(2))))

    return Wired(connect, a=conv(3, 8), b=nn.Linear(8, 6), head=nn.Linear(6, 5))


@wiring(("b.weight", 0), frozen="a.weight/0: `_softmax` is taken over it", library=True)
def softmax_over_channels():
    return Wired(
        lambda m, x: m.head(mean(F.relu(m.b(m.a(x).softmax(1))))), a=conv(3, 8), b=conv(8, 6), head=nn.Linear(6, 5)
    )


@wiring(
    ("a.weight", 0), ("b.weight", 0), ("c.weight", 1), example=lambda: (images()(), images(1, 2, 6, 6)()), library=True
)
def two_inputs():
    return Wired(lambda m, x, y: mean(m.c(F.relu(m.a(x) + m.b(y)))), a=conv(3, 8), b=conv(2, 8), c=conv(8, 5))


@wiring(
    ("a.weight", 0),
    ("b.weight", 0),
    ("c.weight", 1),
    example=lambda: {"y": images(1, 2, 6, 6)(), "x": images()()},
    library=True,
)
def named_inputs():
    return Wired(lambda m, x, y: mean(m.c(F.relu(m.a(x) + m.b(y)))), a=conv(3, 8), b=conv(2, 8), c=conv(8, 5))


@wiring(("a.weight", 0), ("b.weight", 1), ("c.weight", 1), frozen="the network's output", library=True)
def several_outputs():
    def connect(m, x):
        x = F.relu(m.a(x))
        return {"mask": m.b(x), "classes": [mean(m.c(x))]}

    return Wired(connect, a=conv(3, 8), b=conv(8, 2), c=conv(8, 5))


@wiring(("b.weight", 0), frozen="a.weight/0: it is the network's output", library=True)
def feature_map_as_output():
    def connect(m, x):
        x = m.a(x)
        return m.head(mean(m.b(x))), x

    return Wired(connect, a=conv(3, 8), b=conv(8, 6), head=nn.Linear(6, 5))


@wiring(("a.weight", 0), ("norm.weight", 0), ("b.weight", 1), ("b.weight", 0), library=True)
def frozen_parameters():
    net = chain()
    for layer in (net.a, net.norm):
        layer.requires_grad_(False)
    return net


@wiring(("a.weight", 0), ("b.weight", 1), library=True)
def in_train_mode():
    net = chain()
    net.norm.momentum = 0.5
    net.add_module("dropout", nn.Dropout(0.5))
    net.wiring = lambda m, x: m.head(m.dropout(mean(m.b(F.relu(m.norm(m.a(x)))))))
    return net.train()


@wiring(("a.parametrizations.weight.original0", 0), ("a.parametrizations.weight.original1", 0), ("b.weight", 1))
def parametrized_weight():
    return Wired(
        lambda m, x: m.head(mean(m.b(F.relu(m.a(x))))),
        a=parametrizations.weight_norm(conv(3, 8)), b=conv(8, 6), head=nn.Linear(6, 5),
    )  # fmt: skip


@wiring(("a.weight", 0), ("b.weight", 1), ("head.weight", 1), library=True)
def bfloat16():
    return chain().to(torch.bfloat16)


@wiring(refused="nothing in Linear can be pruned: bias: it is the network's output", example=images(2, 6))
def single_layer():
    return nn.Linear(6, 5)
