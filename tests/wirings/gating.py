"""Gates, broadcasts, and what is computed over channels: sums, means, softmax, norms."""

import torch
import torch.nn.functional as F
from torch import nn

from tests.wirings.registry import conv, ended, mean, wiring

A = ("a.weight", 0)
B = ("b.weight", 1)


def over(function, *, ends=True):
    """Return a network that computes something with a feature map of 8 channels between two convolutions."""
    return ended(lambda m, x: mean(m.b(function(m.a(x)))), 6, a=conv(3, 8), b=conv(8, 6))


def onto_one(function):
    """Return a network that makes one channel of 8 and gates them with it."""

    def connect(m, x):
        x = m.a(x)
        return mean(m.b(x * function(x)))

    return ended(connect, 6, a=conv(3, 8), b=conv(8, 6))


@wiring(A, B, ("gate.weight", 1))
def space_gated_by_one_channel():
    def connect(m, x):
        x = m.a(x)
        return mean(m.b(x * m.gate(x).sigmoid()))

    return ended(connect, 6, a=conv(3, 8), gate=conv(8, 1), b=conv(8, 6))


@wiring(("b.weight", 0), frozen="a.weight/0: ")
def attention_of_channels_and_space():
    """CBAM."""

    def connect(m, x):
        x = m.a(x)
        pooled = [F.adaptive_avg_pool2d(x, 1), F.adaptive_max_pool2d(x, 1)]
        x = x * sum(m.up(F.relu(m.down(p))) for p in pooled).sigmoid()
        space = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
        return mean(m.b(x * m.space(space).sigmoid()))

    return ended(connect, 6, a=conv(3, 8), down=conv(8, 4, 1), up=conv(4, 8, 1), space=conv(2, 1, 5), b=conv(8, 6))


@wiring(frozen="a.weight/0: ")
def efficient_channel_attention():
    """ECA: a convolution over channels as if they were a line."""

    def connect(m, x):
        x = m.a(x)
        gate = m.line(mean(x).unsqueeze(1)).sigmoid().transpose(1, 2).unsqueeze(-1)
        return mean(m.b(x * gate))

    return ended(connect, 6, a=conv(3, 8), line=nn.Conv1d(1, 1, 3, padding=1), b=conv(8, 6))


@wiring(("b.weight", 0))
def split_attention():
    """ResNeSt's: two maps, weighed against each other channel by channel."""

    def connect(m, x):
        x = F.relu(m.a(x))
        n, c = x.shape[:2]
        parts = x.view(n, 2, c // 2, *x.shape[2:])
        gate = m.up(F.relu(m.down(parts.sum(1).mean((2, 3), keepdim=True))))
        gate = gate.view(n, 2, c // 2, 1, 1).softmax(1)
        return mean(m.b((parts * gate).sum(1)))

    return ended(connect, 6, a=conv(3, 12), down=conv(6, 4, 1), up=conv(4, 12, 1), b=conv(6, 6))


@wiring(("b.weight", 0))
def selective_kernel():
    def connect(m, x):
        parts = torch.stack([m.a(x), m.c(x)], 1)
        gate = m.up(F.relu(m.down(parts.sum(1).mean((2, 3), keepdim=True))))
        gate = gate.view(len(x), 2, -1, 1, 1).softmax(1)
        return mean(m.b((parts * gate).sum(1)))

    return ended(connect, 6, a=conv(3, 8), c=conv(3, 8, 5), down=conv(8, 4, 1), up=conv(4, 16, 1), b=conv(8, 6))


@wiring(A, B)
def sum_over_channels():
    return onto_one(lambda x: x.sum(1, keepdim=True))


@wiring(A, B)
def sum_over_rectified_channels():
    return onto_one(lambda x: F.relu(x).square().sum(1, keepdim=True))


@wiring(("b.weight", 0), frozen="a.weight/0: `sum` is taken over it")
def sum_over_sigmoids_of_channels():
    return onto_one(lambda x: x.sigmoid().sum(1, keepdim=True))


@wiring(("b.weight", 0), frozen="a.weight/0: `sum` is taken over it")
def sum_over_shifted_channels():
    return onto_one(lambda x: (x + 1).sum(1, keepdim=True))


@wiring(("b.weight", 0), frozen="a.weight/0: `sum` is taken over it")
def sum_over_divided_channels():
    return onto_one(lambda x: (1 / (x + 3)).sum(1, keepdim=True))


@wiring(("b.weight", 0), frozen="a.weight/0: `sum` is taken over it")
def sum_over_cosines():
    return onto_one(lambda x: x.cos().sum(1, keepdim=True))


@wiring(("b.weight", 0), frozen="a.weight/0: `sum` is taken over it")
def sum_over_a_norm_without_weights():
    def connect(m, x):
        x = m.norm(m.a(x))
        return mean(m.b(x * x.sum(1, keepdim=True)))

    return ended(connect, 6, a=conv(3, 8), norm=nn.BatchNorm2d(8, affine=False), b=conv(8, 6))


@wiring(A, B)
def sum_over_a_norm():
    def connect(m, x):
        x = m.norm(m.a(x))
        return mean(m.b(x * x.sum(1, keepdim=True)))

    return ended(connect, 6, a=conv(3, 8), norm=nn.BatchNorm2d(8), b=conv(8, 6))


@wiring(("b.weight", 0), frozen="a.weight/0: `sum` is taken over it")
def sum_over_what_a_buffer_shifts():
    def connect(m, x):
        x = m.a(x)
        return mean(m.b(x * (x + m.shift).sum(1, keepdim=True)))

    net = ended(connect, 6, a=conv(3, 8), b=conv(8, 6))
    net.register_buffer("shift", torch.rand(8, 1, 1) + 0.5)
    return net


@wiring(A, B)
def sum_over_what_a_buffer_scales():
    def connect(m, x):
        x = m.a(x)
        return mean(m.b(x * (x * m.scale).sum(1, keepdim=True)))

    net = ended(connect, 6, a=conv(3, 8), b=conv(8, 6))
    net.register_buffer("scale", torch.rand(8, 1, 1) + 0.5)
    return net


@wiring(("b.weight", 0), frozen="a.weight/0: `mean` is taken over it")
def mean_over_channels():
    return onto_one(lambda x: x.mean(1, keepdim=True))


@wiring(("b.weight", 0), frozen="a.weight/0: `amax` is taken over it")
def maximum_over_channels():
    return onto_one(lambda x: x.amax(1, keepdim=True) + x.max(1, keepdim=True).values)


@wiring(("b.weight", 0), frozen="a.weight/0: `argmax` is taken over it")
def best_channel():
    return onto_one(lambda x: x.argmax(1, keepdim=True).to(x.dtype))


@wiring(("b.weight", 0), frozen="a.weight/0: `(std|var)` is taken over it")
def variance_over_channels():
    return onto_one(lambda x: x.std(1, keepdim=True))


@wiring(("b.weight", 0), frozen="a.weight/0: `prod` is taken over it")
def product_over_channels():
    return onto_one(lambda x: x.prod(1, keepdim=True))


@wiring(("b.weight", 0), frozen="a.weight/0: `_softmax` is taken over it")
def softmax_over_channels_of_a_map():
    return over(lambda x: x.softmax(1))


@wiring(("b.weight", 0), frozen="a.weight/0: its positions count in `cumsum`")
def cumulative_over_channels():
    return over(lambda x: x.cumsum(1))


@wiring(("b.weight", 0), frozen="a.weight/0: `sort` is taken over it")
def sorted_over_channels():
    return over(lambda x: x.sort(1).values)


@wiring(A, B)
def normalised_over_channels():
    return over(lambda x: F.normalize(x, dim=1))


@wiring(("b.weight", 0))
def cosine_of_two_maps():
    return onto_one(lambda x: F.cosine_similarity(x, x.roll(1, 2), dim=1).unsqueeze(1))


@wiring(("b.weight", 0), frozen="a.weight/0: operation `_(euclidean_dist|cdist_forward)` has no rule")
def distance_of_two_maps():
    return onto_one(lambda x: torch.cdist(x.flatten(2).mT, x.flatten(2).mT).mean(1).view(1, 1, 6, 6))


@wiring(A, B)
def softmax_over_space():
    return over(lambda x: x.flatten(2).softmax(2).view(x.shape))


@wiring(A, B)
def mean_of_space_added_back():
    return over(lambda x: x - x.mean((2, 3), keepdim=True).expand_as(x) + x.amax((2, 3), keepdim=True).expand(x.shape))


@wiring(A, B)
def where_and_masked_fill():
    return over(lambda x: torch.where(x > 0, x, x * 0.1).masked_fill(x > 1, 1.0).clamp(-1, 2))


@wiring(A, B)
def every_activation():
    return over(lambda x: F.mish(F.elu(x)) + F.softplus(x) * F.hardswish(x).tanh() - F.leaky_relu(x, 0.1).exp())


@wiring(A, ("scale", 0), B)
def layer_scale():
    net = over(lambda x: net.scale.view(1, -1, 1, 1) * x)
    net.wiring = lambda m, x: m.head(F.relu(m.last(mean(m.b(m.a(x) + m.scale.view(1, -1, 1, 1) * m.a(x))))))
    net.scale = nn.Parameter(torch.rand(8))
    return net


@wiring(A, B)
def one_number_learned():
    net = ended(lambda m, x: mean(m.b(m.a(x) * m.one + m.none)), 6, a=conv(3, 8), b=conv(8, 6))
    net.one, net.none = nn.Parameter(torch.rand(1)), nn.Parameter(torch.tensor(0.3))
    return net


@wiring(("b.weight", 0), frozen="b.weight/1: ")
def one_channel_made_many():
    return ended(lambda m, x: mean(m.b(m.a(x).expand(-1, 8, -1, -1))), 6, a=conv(3, 1), b=conv(8, 6))


@wiring(("c.weight", 0))
def one_channel_added_to_many():
    return ended(lambda m, x: mean(m.b(m.a(x) + m.c(x))), 6, a=conv(3, 1), c=conv(3, 8), b=conv(8, 6))
