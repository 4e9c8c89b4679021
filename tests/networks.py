"""Small wirings, one way of connecting layers each: what is followed, and what must be frozen with a reason.

A wiring is a forward function over named layers. `cut` names axes that a trace must find elastic, `frozen` a pattern
that the reasons of a trace must match; `refused` the whole refusal where nothing at all is left to cut.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations

from elastic.tracing import Example


class Wired(nn.Module):
    """Layers by name, and the function that connects them."""

    def __init__(self, wiring: Callable[..., Any], **layers: nn.Module) -> None:
        super().__init__()
        self.wiring = wiring
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, *inputs, **named):
        return self.wiring(self, *inputs, **named)


@dataclass(frozen=True)
class Wiring:
    """A network to be made, what to call it with, and what a trace must say of it."""

    make: Callable[[], nn.Module]
    example: Callable[[], Example]
    cut: tuple[tuple[str, int], ...] = ()
    frozen: str | None = None
    refused: str | None = None


WIRINGS: dict[str, Wiring] = {}


def images(*shape: int) -> Callable[[], torch.Tensor]:
    return lambda: torch.randn(shape or (1, 3, 6, 6), generator=torch.Generator().manual_seed(0))


def wiring(*cut: tuple[str, int], example: Callable[[], Example] | None = None, frozen=None, refused=None):
    """Return a decorator that adds a network to the wirings."""

    def add(make):
        WIRINGS[make.__name__] = Wiring(make, example or images(), cut, frozen, refused)
        return make

    return add


def conv(ins, outs, size=3, **options):
    return nn.Conv2d(ins, outs, size, padding=size // 2, **options)


def mean(x):
    return x.mean((2, 3))  # [N, C, H, W] -> [N, C]


@wiring(("a.weight", 0), ("norm.running_mean", 0), ("b.weight", 1), ("b.weight", 0), ("head.weight", 1))
def chain():
    return Wired(
        lambda m, x: m.head(mean(m.b(F.relu(m.norm(m.a(x)))))),
        a=conv(3, 8), norm=nn.BatchNorm2d(8), b=conv(8, 10), head=nn.Linear(10, 5),
    )  # fmt: skip


@wiring(("a.weight", 0), ("norm.running_var", 0), ("b.weight", 1))
def norm_without_weights():
    return Wired(
        lambda m, x: mean(m.b(F.relu(m.norm(m.a(x))))),
        a=conv(3, 8), norm=nn.BatchNorm2d(8, affine=False), b=conv(8, 10),
    )  # fmt: skip


@wiring(("a.weight", 0), ("b.weight", 1), ("c.weight", 0), ("b.weight", 0))
def residual():
    def connect(m, x):
        x = m.a(x)
        return m.head(mean(x + m.c(F.relu(m.b(x)))))

    return Wired(connect, a=conv(3, 8), b=conv(8, 12), c=conv(12, 8), head=nn.Linear(8, 5))


@wiring(("a.weight", 0), ("b.weight", 0), ("short.weight", 0), ("short.weight", 1))
def projected_residual():
    def connect(m, x):
        x = m.a(x)
        return m.head(mean(F.relu(m.b(x) + m.short(x))))

    return Wired(connect, a=conv(3, 8), b=conv(8, 12), short=conv(8, 12, 1), head=nn.Linear(12, 5))


@wiring(("a.weight", 0), ("b.weight", 0), ("norm.weight", 0), ("c.weight", 1))
def concatenation():
    return Wired(
        lambda m, x: mean(m.c(m.norm(torch.cat([m.a(x), F.relu(m.b(x))], 1)))),
        a=conv(3, 4), b=conv(3, 6), norm=nn.BatchNorm2d(10), c=conv(10, 5),
    )  # fmt: skip


@wiring(("a.weight", 0), ("b.weight", 1))
def concatenated_with_itself():
    def connect(m, x):
        x = m.a(x)
        return mean(m.b(torch.cat([x, x], 1)))

    return Wired(connect, a=conv(3, 6), b=conv(12, 5))


@wiring(("a.weight", 0), ("c.weight", 0), ("norm2.weight", 0), ("c.weight", 1), ("d.weight", 1))
def dense_block():
    def connect(m, x):
        x = m.a(x)
        x = torch.cat([x, m.b(F.relu(m.norm1(x)))], 1)
        x = torch.cat([x, m.c(F.relu(m.norm2(x)))], 1)
        return mean(m.d(x))

    return Wired(
        connect,
        a=conv(3, 4), norm1=nn.BatchNorm2d(4), b=conv(4, 6), norm2=nn.BatchNorm2d(10), c=conv(10, 6), d=conv(16, 5),
    )  # fmt: skip


@wiring(("a.weight", 0), ("dw.weight", 0), ("dw.bias", 0), ("b.weight", 1))
def depthwise():
    return Wired(lambda m, x: mean(m.b(F.relu6(m.dw(m.a(x))))), a=conv(3, 8), dw=conv(8, 8, groups=8), b=conv(8, 5, 1))


@wiring(("a.weight", 0), ("dw.weight", 0), ("b.weight", 1))
def depthwise_with_a_multiplier():
    return Wired(lambda m, x: mean(m.b(F.relu(m.dw(m.a(x))))), a=conv(3, 6), dw=conv(6, 12, groups=6), b=conv(12, 5, 1))


@wiring(("a.weight", 0), ("g.weight", 0), ("g.bias", 0), ("b.weight", 1))
def grouped():
    return Wired(lambda m, x: mean(m.b(F.relu(m.g(m.a(x))))), a=conv(3, 8), g=conv(8, 12, groups=4), b=conv(12, 5, 1))


@wiring(("a.weight", 0), ("g.weight", 0), ("h.weight", 0), ("b.weight", 1))
def groups_of_two_sizes():
    def connect(m, x):
        x = m.a(x)
        return mean(m.b(m.g(x) + m.h(x)))

    return Wired(connect, a=conv(3, 12), g=conv(12, 12, groups=6), h=conv(12, 12, groups=4), b=conv(12, 5, 1))


@wiring(("a.weight", 0), ("head.weight", 1))
def flattened():
    return Wired(lambda m, x: m.head(torch.flatten(F.relu(m.a(x)), 1)), a=conv(3, 7), head=nn.Linear(7 * 36, 5))


@wiring(("a.weight", 0), ("down.weight", 0), ("up.weight", 0), ("b.weight", 1))
def squeeze_and_excite():
    def connect(m, x):
        x = m.a(x)
        gate = torch.sigmoid(m.up(F.relu(m.down(F.adaptive_avg_pool2d(x, 1)))))
        return mean(m.b(x * gate))

    return Wired(connect, a=conv(3, 8), down=conv(8, 4, 1), up=conv(4, 8, 1), b=conv(8, 5))


@wiring(("a.weight", 0), ("shared.weight", 0), ("shared.weight", 1), ("b.weight", 1))
def shared_layer():
    return Wired(
        lambda m, x: mean(m.b(m.shared(F.relu(m.shared(m.a(x)))))), a=conv(3, 8), shared=conv(8, 8), b=conv(8, 5)
    )


@wiring(
    ("a.weight", 0), ("one.weight", 0), ("one.weight", 1), ("two.bias", 0), ("head.weight", 1), example=images(2, 6)
)
def tied_weights():
    net = Wired(
        lambda m, x: m.head(m.two(F.relu(m.one(m.a(x))))),
        a=nn.Linear(6, 8), one=nn.Linear(8, 8), two=nn.Linear(8, 8), head=nn.Linear(8, 5),
    )  # fmt: skip
    net.two.weight = net.one.weight
    return net


@wiring(("b.weight", 0), frozen="a.weight/0.*doesn't run without")
def split_in_flipped_order():
    def connect(m, x):
        u, v = m.a(x).split([4, 6], 1)
        return m.head(mean(m.c(v) + m.b(u)))

    return Wired(connect, a=conv(3, 10), b=conv(4, 8), c=conv(6, 8), head=nn.Linear(8, 5))


@wiring(("a.weight", 0), ("b.weight", 1))
def chunked():
    def connect(m, x):
        u, v = m.a(x).chunk(2, 1)
        return m.head(mean(m.b(u * torch.sigmoid(v))))

    return Wired(connect, a=conv(3, 8), b=conv(4, 6), head=nn.Linear(6, 5))


@wiring(("b.weight", 0), frozen="a.weight/0: operation Glu can't be followed")
def gated_linear_unit():
    return Wired(lambda m, x: m.head(mean(m.b(F.glu(m.a(x), 1)))), a=conv(3, 8), b=conv(4, 6), head=nn.Linear(6, 5))


@wiring(("b.weight", 0), frozen="(a|c).weight/0: operation ConstantPadNd can't be followed")
def padded_shortcut():
    def connect(m, x):
        x = m.a(x)
        padded = F.pad(x, (0, 0, 0, 0, 2, 2))  # [N, 6, H, W] -> [N, 10, H, W]
        return m.head(mean(F.relu(padded + m.c(F.relu(m.b(x))))))

    return Wired(connect, a=conv(3, 6), b=conv(6, 7), c=conv(7, 10), head=nn.Linear(10, 5))


@wiring(("a.weight", 0), ("b.weight", 1))
def one_channel_gate():
    def connect(m, x):
        x = m.a(x)
        return mean(m.b(x * torch.sigmoid(m.gate(x))))

    return Wired(connect, a=conv(3, 8), gate=conv(8, 1, 1), b=conv(8, 5))


@wiring(("a.weight", 0), ("norm.weight", 0), ("b.weight", 1))
def group_norm():
    return Wired(lambda m, x: mean(m.b(m.norm(m.a(x)))), a=conv(3, 8), norm=nn.GroupNorm(4, 8), b=conv(8, 5))


@wiring(("a.weight", 0), ("norm.weight", 0), ("b.weight", 1))
def group_norm_of_one_group():
    return Wired(lambda m, x: mean(m.b(m.norm(m.a(x)))), a=conv(3, 8), norm=nn.GroupNorm(1, 8), b=conv(8, 5))


@wiring(("a.weight", 0), ("norm.weight", 0), ("b.weight", 1), ("head.weight", 1))
def layer_norm_channels_last():
    return Wired(
        lambda m, x: m.head(F.gelu(m.b(m.norm(m.a(x).permute(0, 2, 3, 1)))).mean((1, 2))),
        a=conv(3, 8), norm=nn.LayerNorm(8), b=nn.Linear(8, 12), head=nn.Linear(12, 5),
    )  # fmt: skip


@wiring(("b.weight", 0), frozen="a.weight/0: LayerNorm over 3 axes")
def layer_norm_over_the_image():
    return Wired(
        lambda m, x: m.head(mean(m.b(m.norm(m.a(x))))),
        a=conv(3, 4), norm=nn.LayerNorm([4, 6, 6]), b=conv(4, 6), head=nn.Linear(6, 5),
    )  # fmt: skip


@wiring(("a.weight", 0), ("norm.running_mean", 0), ("b.weight", 1))
def instance_norm():
    return Wired(
        lambda m, x: mean(m.b(m.norm(m.a(x)))),
        a=conv(3, 8), norm=nn.InstanceNorm2d(8, affine=True, track_running_stats=True), b=conv(8, 5),
    )  # fmt: skip


@wiring(("a.weight", 0), ("b.weight", 1))
def instance_norm_without_anything():
    return Wired(lambda m, x: mean(m.b(m.norm(m.a(x)))), a=conv(3, 8), norm=nn.InstanceNorm2d(8), b=conv(8, 5))


@wiring(("a.weight", 0), ("t.weight", 0), ("t.weight", 1), ("b.weight", 1))
def transposed():
    return Wired(
        lambda m, x: mean(m.b(F.relu(m.t(m.a(x))))),
        a=conv(3, 8), t=nn.ConvTranspose2d(8, 6, 2, stride=2), b=conv(6, 5),
    )  # fmt: skip


@wiring(("a.weight", 0), ("t.weight", 0), ("t.bias", 0), ("b.weight", 1))
def transposed_grouped():
    return Wired(
        lambda m, x: mean(m.b(F.relu(m.t(m.a(x))))),
        a=conv(3, 8), t=nn.ConvTranspose2d(8, 12, 2, stride=2, groups=4), b=conv(12, 5),
    )  # fmt: skip


@wiring(("a.weight", 0), ("prelu.weight", 0), ("b.weight", 1))
def prelu_per_channel():
    return Wired(lambda m, x: mean(m.b(m.prelu(m.a(x)))), a=conv(3, 8), prelu=nn.PReLU(8), b=conv(8, 5))


@wiring(("a.weight", 0), ("b.weight", 1))
def prelu_of_one():
    return Wired(lambda m, x: mean(m.b(m.prelu(m.a(x)))), a=conv(3, 8), prelu=nn.PReLU(), b=conv(8, 5))


@wiring(("embed.weight", 1), ("head.weight", 1), example=lambda: torch.tensor([[1, 4, 2], [0, 3, 3]]))
def embedding():
    return Wired(lambda m, x: m.head(m.embed(x)), embed=nn.Embedding(6, 8), head=nn.Linear(8, 5))


@wiring(("b.weight", 0), frozen="a.weight/0.*doesn't run without.*broadcast")
def buffer_per_channel():
    net = Wired(lambda m, x: m.head(mean(m.b(m.a(x) * m.scale))), a=conv(3, 8), b=conv(8, 6), head=nn.Linear(6, 5))
    net.register_buffer("scale", torch.rand(1, 8, 1, 1) + 0.5)
    return net


@wiring(("b.weight", 0), example=images(1, 6, 5, 5), frozen="a.weight/0.*(the network's input|broadcast)")
def input_added_to_a_feature_map():
    return Wired(lambda m, x: m.head(mean(m.b(x + m.a(x)))), a=conv(6, 6), b=conv(6, 8), head=nn.Linear(8, 5))


@wiring(("b.weight", 0), example=images(2, 4, 8), frozen="mix.in_proj_weight/0: MultiheadAttention can't be followed")
def attention():
    def connect(m, x):
        x = m.a(x)
        return m.head(F.relu(m.b(x + m.mix(x, x, x)[0])))

    return Wired(
        connect,
        a=nn.Linear(8, 8), mix=nn.MultiheadAttention(8, 2, batch_first=True), b=nn.Linear(8, 12), head=nn.Linear(12, 5),
    )  # fmt: skip


@wiring(("b.weight", 0), example=images(2, 4, 8), frozen="mix.weight_hh_l0/0: LSTM can't be followed")
def recurrent():
    return Wired(
        lambda m, x: m.head(F.relu(m.b(m.mix(m.a(x))[0]))),
        a=nn.Linear(8, 6), mix=nn.LSTM(6, 7, batch_first=True), b=nn.Linear(7, 12), head=nn.Linear(12, 5),
    )  # fmt: skip


@wiring(("b.weight", 0), frozen="a.weight/0: removing some of it is not the same as zeroing it")
def flattened_channels_last():
    return Wired(
        lambda m, x: m.head(F.relu(m.b(m.a(x).permute(0, 2, 3, 1).flatten(1)))),
        a=conv(3, 4), b=nn.Linear(4 * 36, 6), head=nn.Linear(6, 5),
    )  # fmt: skip


@wiring(("b.weight", 0), frozen="a.weight/0: operation PixelShuffle can't be followed")
def shuffled_pixels():
    return Wired(
        lambda m, x: m.head(mean(F.relu(m.b(F.pixel_shuffle(m.a(x), 2))))),
        a=conv(3, 8), b=conv(2, 6), head=nn.Linear(6, 5),
    )  # fmt: skip


@wiring(("b.weight", 0), frozen="a.weight/0: the network doesn't run without some of it")
def shuffled_channels():
    def connect(m, x):
        x = m.a(x)
        n, c, h, w = x.shape
        x = x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        return m.head(mean(F.relu(m.b(x))))

    return Wired(connect, a=conv(3, 8), b=conv(8, 6), head=nn.Linear(6, 5))


@wiring(("b.weight", 0), frozen="a.weight/0: (the network doesn't run without|removing) some of it")
def selected_channels():
    return Wired(
        lambda m, x: m.head(mean(F.relu(m.b(m.a(x)[:, 2:6])))), a=conv(3, 8), b=conv(4, 6), head=nn.Linear(6, 5)
    )


@wiring(("b.weight", 0), frozen="a.weight/0.*shape '.-1, 8, 36.' is invalid")
def constant_in_forward():
    def connect(m, x):
        x = m.a(x)
        return m.head(F.relu(m.b(x.view(-1, 8, 36).mean(2))))

    return Wired(connect, a=conv(3, 8), b=nn.Linear(8, 6), head=nn.Linear(6, 5))


@wiring(("b.weight", 0), frozen="a.weight/0: operation Softmax can't be followed")
def softmax_over_channels():
    return Wired(
        lambda m, x: m.head(mean(F.relu(m.b(m.a(x).softmax(1))))), a=conv(3, 8), b=conv(8, 6), head=nn.Linear(6, 5)
    )


@wiring(("a.weight", 0), ("b.weight", 0), ("c.weight", 1), example=lambda: (images()(), images(1, 2, 6, 6)()))
def two_inputs():
    return Wired(lambda m, x, y: mean(m.c(F.relu(m.a(x) + m.b(y)))), a=conv(3, 8), b=conv(2, 8), c=conv(8, 5))


@wiring(("a.weight", 0), ("b.weight", 0), ("c.weight", 1), example=lambda: {"y": images(1, 2, 6, 6)(), "x": images()()})
def named_inputs():
    return Wired(lambda m, x, y: mean(m.c(F.relu(m.a(x) + m.b(y)))), a=conv(3, 8), b=conv(2, 8), c=conv(8, 5))


@wiring(("a.weight", 0), ("b.weight", 1), ("c.weight", 1), frozen="the network's output")
def several_outputs():
    def connect(m, x):
        x = F.relu(m.a(x))
        return {"mask": m.b(x), "classes": [mean(m.c(x))]}

    return Wired(connect, a=conv(3, 8), b=conv(8, 2), c=conv(8, 5))


@wiring(("b.weight", 0), frozen="a.weight/0: it is the network's output")
def feature_map_as_output():
    def connect(m, x):
        x = m.a(x)
        return m.head(mean(m.b(x))), x

    return Wired(connect, a=conv(3, 8), b=conv(8, 6), head=nn.Linear(6, 5))


@wiring(("a.weight", 0), ("norm.weight", 0), ("b.weight", 1), ("b.weight", 0))
def frozen_parameters():
    net = chain()
    for layer in (net.a, net.norm):
        layer.requires_grad_(False)
    return net


@wiring(("a.weight", 0), ("b.weight", 1))
def in_train_mode():
    net = chain()
    net.norm.momentum = 0.5
    net.add_module("dropout", nn.Dropout(0.5))
    net.wiring = lambda m, x: m.head(m.dropout(mean(m.b(F.relu(m.norm(m.a(x)))))))
    return net.train()


@wiring(("b.weight", 0), frozen="a.parametrizations.weight.original1/0: .*")
def parametrized_weight():
    return Wired(
        lambda m, x: m.head(mean(m.b(F.relu(m.a(x))))),
        a=parametrizations.weight_norm(conv(3, 8)), b=conv(8, 6), head=nn.Linear(6, 5),
    )  # fmt: skip


@wiring(("a.weight", 0), ("b.weight", 1), ("head.weight", 1))
def bfloat16():
    return chain().to(torch.bfloat16)


@wiring(refused="nothing in Linear can be pruned: bias: it is the network's output", example=images(2, 6))
def single_layer():
    return nn.Linear(6, 5)
