"""Wirings that every convolutional network is made of."""

import torch
import torch.nn.functional as F
from torch import nn

from tests.wirings.registry import Wired, conv, images, mean, wiring


@wiring(("a.weight", 0), ("norm.running_mean", 0), ("b.weight", 1), ("b.weight", 0), ("head.weight", 1), library=True)
def chain():
    return Wired(
        lambda m, x: m.head(mean(m.b(F.relu(m.norm(m.a(x)))))),
        a=conv(3, 8), norm=nn.BatchNorm2d(8), b=conv(8, 10), head=nn.Linear(10, 5),
    )  # fmt: skip


@wiring(("a.weight", 0), ("norm.running_var", 0), ("b.weight", 1), library=True)
def norm_without_weights():
    return Wired(
        lambda m, x: mean(m.b(F.relu(m.norm(m.a(x))))),
        a=conv(3, 8), norm=nn.BatchNorm2d(8, affine=False), b=conv(8, 10),
    )  # fmt: skip


@wiring(("a.weight", 0), ("b.weight", 1), ("c.weight", 0), ("b.weight", 0), library=True)
def residual():
    def connect(m, x):
        x = m.a(x)
        return m.head(mean(x + m.c(F.relu(m.b(x)))))

    return Wired(connect, a=conv(3, 8), b=conv(8, 12), c=conv(12, 8), head=nn.Linear(8, 5))


@wiring(("a.weight", 0), ("b.weight", 0), ("short.weight", 0), ("short.weight", 1), library=True)
def projected_residual():
    def connect(m, x):
        x = m.a(x)
        return m.head(mean(F.relu(m.b(x) + m.short(x))))

    return Wired(connect, a=conv(3, 8), b=conv(8, 12), short=conv(8, 12, 1), head=nn.Linear(12, 5))


@wiring(("a.weight", 0), ("b.weight", 0), ("norm.weight", 0), ("c.weight", 1), library=True)
def concatenation():
    return Wired(
        lambda m, x: mean(m.c(m.norm(torch.cat([m.a(x), F.relu(m.b(x))], 1)))),
        a=conv(3, 4), b=conv(3, 6), norm=nn.BatchNorm2d(10), c=conv(10, 5),
    )  # fmt: skip


@wiring(("a.weight", 0), ("b.weight", 1), library=True)
def concatenated_with_itself():
    def connect(m, x):
        x = m.a(x)
        return mean(m.b(torch.cat([x, x], 1)))

    return Wired(connect, a=conv(3, 6), b=conv(12, 5))


@wiring(("a.weight", 0), ("c.weight", 0), ("norm2.weight", 0), ("c.weight", 1), ("d.weight", 1), library=True)
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


@wiring(("a.weight", 0), ("dw.weight", 0), ("dw.bias", 0), ("b.weight", 1), library=True)
def depthwise():
    return Wired(lambda m, x: mean(m.b(F.relu6(m.dw(m.a(x))))), a=conv(3, 8), dw=conv(8, 8, groups=8), b=conv(8, 5, 1))


@wiring(("a.weight", 0), ("dw.weight", 0), ("b.weight", 1), library=True)
def depthwise_with_a_multiplier():
    return Wired(lambda m, x: mean(m.b(F.relu(m.dw(m.a(x))))), a=conv(3, 6), dw=conv(6, 12, groups=6), b=conv(12, 5, 1))


@wiring(("a.weight", 0), ("g.weight", 0), ("g.bias", 0), ("b.weight", 1), library=True)
def grouped():
    return Wired(lambda m, x: mean(m.b(F.relu(m.g(m.a(x))))), a=conv(3, 8), g=conv(8, 12, groups=4), b=conv(12, 5, 1))


@wiring(("a.weight", 0), ("g.weight", 0), ("h.weight", 0), ("b.weight", 1), library=True)
def groups_of_two_sizes():
    def connect(m, x):
        x = m.a(x)
        return mean(m.b(m.g(x) + m.h(x)))

    return Wired(connect, a=conv(3, 12), g=conv(12, 12, groups=6), h=conv(12, 12, groups=4), b=conv(12, 5, 1))


@wiring(("a.weight", 0), ("head.weight", 1), library=True)
def flattened():
    return Wired(lambda m, x: m.head(torch.flatten(F.relu(m.a(x)), 1)), a=conv(3, 7), head=nn.Linear(7 * 36, 5))


@wiring(("a.weight", 0), ("down.weight", 0), ("up.weight", 0), ("b.weight", 1), library=True)
def squeeze_and_excite():
    def connect(m, x):
        x = m.a(x)
        gate = torch.sigmoid(m.up(F.relu(m.down(F.adaptive_avg_pool2d(x, 1)))))
        return mean(m.b(x * gate))

    return Wired(connect, a=conv(3, 8), down=conv(8, 4, 1), up=conv(4, 8, 1), b=conv(8, 5))


@wiring(("a.weight", 0), ("shared.weight", 0), ("shared.weight", 1), ("b.weight", 1), library=True)
def shared_layer():
    return Wired(
        lambda m, x: mean(m.b(m.shared(F.relu(m.shared(m.a(x)))))), a=conv(3, 8), shared=conv(8, 8), b=conv(8, 5)
    )


@wiring(
    ("a.weight", 0),
    ("one.weight", 0),
    ("one.weight", 1),
    ("two.bias", 0),
    ("head.weight", 1),
    example=images(2, 6),
    library=True,
)
def tied_weights():
    net = Wired(
        lambda m, x: m.head(m.two(F.relu(m.one(m.a(x))))),
        a=nn.Linear(6, 8), one=nn.Linear(8, 8), two=nn.Linear(8, 8), head=nn.Linear(8, 5),
    )  # fmt: skip
    net.two.weight = net.one.weight
    return net


@wiring(("b.weight", 0), frozen="a.weight/0.*parts of constant size are taken of it in `split", library=True)
def split_in_flipped_order():
    def connect(m, x):
        u, v = m.a(x).split([4, 6], 1)
        return m.head(mean(m.c(v) + m.b(u)))

    return Wired(connect, a=conv(3, 10), b=conv(4, 8), c=conv(6, 8), head=nn.Linear(8, 5))


@wiring(("a.weight", 0), ("b.weight", 1), library=True)
def chunked():
    def connect(m, x):
        u, v = m.a(x).chunk(2, 1)
        return m.head(mean(m.b(u * torch.sigmoid(v))))

    return Wired(connect, a=conv(3, 8), b=conv(4, 6), head=nn.Linear(6, 5))


@wiring(("a.weight", 0), ("b.weight", 1))
def gated_linear_unit():
    return Wired(lambda m, x: m.head(mean(m.b(F.glu(m.a(x), 1)))), a=conv(3, 8), b=conv(4, 6), head=nn.Linear(6, 5))


@wiring(("a.weight", 0), ("b.weight", 1), ("c.weight", 0), ("head.weight", 1))
def padded_shortcut():
    def connect(m, x):
        x = m.a(x)
        padded = F.pad(x, (0, 0, 0, 0, 2, 2))  # [N, 6, H, W] -> [N, 10, H, W]
        return m.head(mean(F.relu(padded + m.c(F.relu(m.b(x))))))

    return Wired(connect, a=conv(3, 6), b=conv(6, 7), c=conv(7, 10), head=nn.Linear(10, 5))


@wiring(("a.weight", 0), ("b.weight", 1), library=True)
def one_channel_gate():
    def connect(m, x):
        x = m.a(x)
        return mean(m.b(x * torch.sigmoid(m.gate(x))))

    return Wired(connect, a=conv(3, 8), gate=conv(8, 1, 1), b=conv(8, 5))


@wiring(("a.weight", 0), ("norm.weight", 0), ("b.weight", 1), library=True)
def group_norm():
    return Wired(lambda m, x: mean(m.b(m.norm(m.a(x)))), a=conv(3, 8), norm=nn.GroupNorm(4, 8), b=conv(8, 5))


@wiring(("a.weight", 0), ("norm.weight", 0), ("b.weight", 1), library=True)
def group_norm_of_one_group():
    return Wired(lambda m, x: mean(m.b(m.norm(m.a(x)))), a=conv(3, 8), norm=nn.GroupNorm(1, 8), b=conv(8, 5))


@wiring(("a.weight", 0), ("norm.weight", 0), ("b.weight", 1), ("head.weight", 1), library=True)
def layer_norm_channels_last():
    return Wired(
        lambda m, x: m.head(F.gelu(m.b(m.norm(m.a(x).permute(0, 2, 3, 1)))).mean((1, 2))),
        a=conv(3, 8), norm=nn.LayerNorm(8), b=nn.Linear(8, 12), head=nn.Linear(12, 5),
    )  # fmt: skip


@wiring(("b.weight", 0), frozen="a.weight/0: LayerNorm over 3 axes", library=True)
def layer_norm_over_the_image():
    return Wired(
        lambda m, x: m.head(mean(m.b(m.norm(m.a(x))))),
        a=conv(3, 4), norm=nn.LayerNorm([4, 6, 6]), b=conv(4, 6), head=nn.Linear(6, 5),
    )  # fmt: skip


@wiring(("a.weight", 0), ("norm.running_mean", 0), ("b.weight", 1), library=True)
def instance_norm():
    return Wired(
        lambda m, x: mean(m.b(m.norm(m.a(x)))),
        a=conv(3, 8), norm=nn.InstanceNorm2d(8, affine=True, track_running_stats=True), b=conv(8, 5),
    )  # fmt: skip


@wiring(("a.weight", 0), ("b.weight", 1), library=True)
def instance_norm_without_anything():
    return Wired(lambda m, x: mean(m.b(m.norm(m.a(x)))), a=conv(3, 8), norm=nn.InstanceNorm2d(8), b=conv(8, 5))


@wiring(("a.weight", 0), ("t.weight", 0), ("t.weight", 1), ("b.weight", 1), library=True)
def transposed():
    return Wired(
        lambda m, x: mean(m.b(F.relu(m.t(m.a(x))))),
        a=conv(3, 8), t=nn.ConvTranspose2d(8, 6, 2, stride=2), b=conv(6, 5),
    )  # fmt: skip


@wiring(("a.weight", 0), ("t.weight", 0), ("t.bias", 0), ("b.weight", 1), library=True)
def transposed_grouped():
    return Wired(
        lambda m, x: mean(m.b(F.relu(m.t(m.a(x))))),
        a=conv(3, 8), t=nn.ConvTranspose2d(8, 12, 2, stride=2, groups=4), b=conv(12, 5),
    )  # fmt: skip


@wiring(("a.weight", 0), ("prelu.weight", 0), ("b.weight", 1), library=True)
def prelu_per_channel():
    return Wired(lambda m, x: mean(m.b(m.prelu(m.a(x)))), a=conv(3, 8), prelu=nn.PReLU(8), b=conv(8, 5))


@wiring(("a.weight", 0), ("b.weight", 1), library=True)
def prelu_of_one():
    return Wired(lambda m, x: mean(m.b(m.prelu(m.a(x)))), a=conv(3, 8), prelu=nn.PReLU(), b=conv(8, 5))
