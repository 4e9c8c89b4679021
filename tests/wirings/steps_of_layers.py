"""Steps of random networks that have layers; imported, they are known by name."""

import torch
import torch.nn.functional as F
from torch import einsum, nn

from tests.wirings.norming import StandardisedConv
from tests.wirings.registry import Wired
from tests.wirings.steps import SIDE, nhwc, of_two, pool, step


@step
def norm(a, b, size):
    one, groups, each = nn.GroupNorm(1, a), nn.GroupNorm(2 - a % 2, a), nn.InstanceNorm2d(a, affine=True)
    return Wired(lambda m, x, y: m.norm(x), norm=(nn.BatchNorm2d(a), one, each, groups)[size - 1]), a


@step
def norm_last(a, b, size):
    return Wired(lambda m, x, y: nhwc(m.norm, x), norm=nn.LayerNorm(a, bias=size > 1)), a


@step
def unweighted_norm(a, b, size):
    return Wired(lambda m, x, y: m.norm(x), norm=nn.BatchNorm2d(a, affine=False)), a


@step
def depthwise(a, b, size):
    times = 1 + size // 3
    return Wired(lambda m, x, y: m.conv(x), conv=nn.Conv2d(a, a * times, 3, padding=1, groups=a)), a * times


@step
def grouped(a, b, size):
    groups = 4 if a % 4 == 0 and size > 2 else 2 if a % 2 == 0 else 1
    return Wired(lambda m, x, y: m.conv(x), conv=nn.Conv2d(a, groups * size, 1, groups=groups)), groups * size


@step
def transposed(a, b, size):
    groups = 2 if a % 2 == 0 and size > 2 else 1
    layer = nn.ConvTranspose2d(a, groups * size, 2, stride=2, groups=groups)
    return Wired(lambda m, x, y: pool(m.conv(x)), conv=layer), groups * size


@step
def shared(a, b, size):
    return Wired(lambda m, x, y: m.conv(F.relu(m.conv(x))), conv=nn.Conv2d(a, a, 3, padding=1)), a


@step
def both_ways(a, b, size):
    net = Wired(lambda m, x, y: nhwc(lambda t: F.linear(F.relu(F.linear(t, m.w)), m.w.t()), x))
    net.w = nn.Parameter(torch.randn(2 * size, a))
    return net, a


@step
def standardised(a, b, size):
    return Wired(lambda m, x, y: m.conv(x), conv=StandardisedConv(a, 2 * size)), 2 * size


@step
def weight_normed(a, b, size):
    layer = nn.utils.parametrizations.weight_norm(nn.Conv2d(a, 2 * size, 1))
    return Wired(lambda m, x, y: m.conv(x), conv=layer), 2 * size


@step
def prelu(a, b, size):
    return Wired(lambda m, x, y: m.act(x), act=nn.PReLU(a if size > 1 else 1)), a


@step
def scaled(a, b, size):
    net = Wired(lambda m, x, y: x * m.gain[:, None, None] + m.shift.view(1, -1, 1, 1))
    net.gain = nn.Parameter(torch.rand(a) + 0.5)
    net.register_buffer("shift", torch.rand(a) if size > 2 else torch.zeros(1))
    return net, a


@step
def excited(a, b, size):
    return Wired(
        lambda m, x, y: x * m.up(F.relu(m.down(x.mean((2, 3), keepdim=True)))).sigmoid(),
        down=nn.Conv2d(a, size, 1), up=nn.Conv2d(size, a, 1),
    ), a  # fmt: skip


@step
def gated_by_one(a, b, size):
    return Wired(lambda m, x, y: x * m.gate(x).sigmoid().expand_as(x), gate=nn.Conv2d(a, 1, 1)), a


@step
def split(a, b, size):
    sizes = [(a + 1) // 2, a - (a + 1) // 2]

    def connect(m, x, y):
        u, v = x.split(m.sizes if size > 2 else sizes, 1)
        return m.two(v) + m.one(u)

    if a < 2:
        return None
    layers = [nn.Conv2d(part, 2 * size, 1) for part in sizes]
    return Wired(connect, one=layers[0], two=layers[1], sizes=sizes), 2 * size


@step
def apart(a, b, size):
    def connect(m, x, y):
        u, v = x.chunk(2, 1)
        return torch.cat([u, v + m.one(F.relu(v))], 1)

    return (Wired(connect, one=nn.Conv2d(a // 2, a // 2, 1)), a) if a % 2 == 0 else None


@step
def linear_last(a, b, size):
    return Wired(lambda m, x, y: nhwc(m.linear, x), linear=nn.Linear(a, 2 * size)), 2 * size


@step
def flat(a, b, size):
    def connect(m, x, y):
        x = x.permute(0, 2, 3, 1).flatten(1) if size % 2 else x.flatten(1)
        return m.linear(x).view(len(x), -1 if size < 3 else 2 * size, SIDE, SIDE)

    return Wired(connect, linear=nn.Linear(16 * a, 32 * size)), 2 * size


@step
def mixed_tokens(a, b, size):
    return Wired(
        lambda m, x, y: x + m.two(F.gelu(m.one(x.flatten(2)))).view(x.shape),
        one=nn.Linear(16, size),
        two=nn.Linear(size, 16),
    ), a


@step
def attended(a, b, size):
    heads = 2 if size > 1 else 1

    def connect(m, x, y):
        tokens = x.flatten(2).mT
        n, length, _ = tokens.shape
        q, k, v = m.qkv(tokens).reshape(n, length, 3, m.heads, -1).permute(2, 0, 3, 1, 4)
        if size > 2:
            out = F.scaled_dot_product_attention(q, k, v, scale=m.scale if size > 3 else None)
        else:
            out = (q @ k.mT * m.scale).softmax(-1) @ v
        return x + m.out(out.transpose(1, 2).flatten(2)).mT.unflatten(2, x.shape[2:])

    width = heads * (3 + size)
    return Wired(connect, qkv=nn.Linear(a, 3 * width), out=nn.Linear(width, a), heads=heads, scale=0.6), a


@step
def linearly_attended(a, b, size):
    def connect(m, x, y):
        q, k, v = (layer(x).flatten(2) for layer in (m.q, m.k, m.v))
        return einsum("nkc,nvc,nkd->nvd", k.relu(), v, q).view(len(x), -1, SIDE, SIDE) / 16

    layers = [nn.Conv2d(a, width, 1) for width in (size + 1, size + 1, 2 * size)]
    return Wired(connect, q=layers[0], k=layers[1], v=layers[2]), 2 * size


@step
def contracted(a, b, size):
    net = Wired(lambda m, x, y: einsum("nchw,cdh->ndhw", x, m.w))
    net.w = nn.Parameter(torch.randn(a, 2 * size, SIDE))
    return net, 2 * size


@of_two
def add(a, b, size):
    return Wired(lambda m, x, y: x + m.conv(y), conv=nn.Conv2d(b, a, 1) if a != b or size < 2 else nn.Identity()), a


@of_two
def cat(a, b, size):
    return Wired(lambda m, x, y: torch.cat([x, y] if size < 3 else [y, x, y], 1)), a + (b if size < 3 else 2 * b)


@of_two
def gate(a, b, size):
    return Wired(lambda m, x, y: x * m.conv(y).sigmoid(), conv=nn.Conv2d(b, a, 1) if a != b else nn.Identity()), a


@of_two
def stacked(a, b, size):
    if a != b:
        return None
    return (Wired(lambda m, x, y: torch.stack([x, y]).sum(0)), a) if size < 3 else (
        Wired(lambda m, x, y: torch.stack([x, y], 2).flatten(1, 2)), 2 * a)  # fmt: skip


@of_two
def shortcut_padded(a, b, size):
    if a >= b:
        return None
    return Wired(lambda m, x, y: F.pad(x, (0, 0, 0, 0, (b - a) // 2, b - a - (b - a) // 2)) + y), b


@of_two
def correlated(a, b, size):
    def connect(m, x, y):
        weights = (m.q(x).flatten(2).mT @ m.k(y).flatten(2)).softmax(-1)
        return (y.flatten(2) @ weights.mT).unflatten(2, x.shape[2:])

    return Wired(connect, q=nn.Conv2d(a, 2 * size, 1), k=nn.Conv2d(b, 2 * size, 1)), b


@of_two
def joined_and_split(a, b, size):
    def connect(m, x, y):
        u, v = torch.cat([x, y], 1).split([a, b] if size > 2 else [x.shape[1], y.shape[1]], 1)
        return m.two(v) * m.one(u)

    return Wired(connect, one=nn.Conv2d(a, 2 * size, 1), two=nn.Conv2d(b, 2 * size, 1)), 2 * size
