"""Norms of all kinds, and weights that are computed from others."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations, parametrize

from tests.wirings.registry import conv, ended, images, mean, wiring

A = ("a.weight", 0)
B = ("b.weight", 1)


def between(norm, width=8):
    """Return a network with a norm between two convolutions."""
    return ended(lambda m, x: mean(m.b(F.relu(m.norm(m.a(x))))), 6, a=conv(3, width), norm=norm, b=conv(width, 6))


@wiring(A, ("norm.weight", 0), B)
def instance_norm_with_weights():
    return between(nn.InstanceNorm2d(8, affine=True))


@wiring(A, ("norm.running_mean", 0), B)
def instance_norm_with_statistics():
    return between(nn.InstanceNorm2d(8, track_running_stats=True))


@wiring(A, ("norm.running_mean", 0), ("norm.bias", 0), B)
def instance_norm_with_both():
    return between(nn.InstanceNorm2d(8, affine=True, track_running_stats=True))


@wiring(A, B)
def batch_norm_of_the_batch():
    return between(nn.BatchNorm2d(8, track_running_stats=False))


@wiring(("b.weight", 0), frozen="a.weight/0: a norm over it has no weights")
def group_norm_without_weights():
    return between(nn.GroupNorm(4, 8, affine=False))


@wiring(A, B, ("norm.weight", 0))
def group_norm_of_single_channels():
    return between(nn.GroupNorm(8, 8))


@wiring(("b.weight", 0), frozen="a.weight/0: a norm over it has no weights")
def group_norm_of_one_group_without_weights():
    return between(nn.GroupNorm(1, 8, affine=False))


@wiring(("c.weight", 0))
def group_norm_over_a_concatenation():
    return ended(
        lambda m, x: mean(m.c(m.norm(torch.cat([m.a(x), m.b(x)], 1)))), 6,
        a=conv(3, 6), b=conv(3, 6), norm=nn.GroupNorm(2, 12), c=conv(12, 6),
    )  # fmt: skip


@wiring(A, ("g.weight", 0), ("norm.weight", 0), B)
def grouped_convolution_and_group_norm():
    return ended(
        lambda m, x: mean(m.b(m.norm(m.g(m.a(x))))), 6,
        a=conv(3, 12), g=conv(12, 12, groups=6), norm=nn.GroupNorm(4, 12), b=conv(12, 6),
    )  # fmt: skip


@wiring(A, ("norm.weight", 0), B, example=images(2, 6))
def batch_norm_of_vectors():
    return ended(lambda m, x: m.b(m.norm(m.a(x))), 6, a=nn.Linear(6, 8), norm=nn.BatchNorm1d(8), b=nn.Linear(8, 6))


@wiring(A, ("norm.weight", 0), ("b.weight", 0), example=images(2, 3, 7))
def batch_norm_of_sequences():
    return ended(
        lambda m, x: m.b(m.norm(m.a(x))).mean(2), 8,
        a=nn.Conv1d(3, 8, 3), norm=nn.BatchNorm1d(8), b=nn.Conv1d(8, 8, 1, groups=4),
    )  # fmt: skip


@wiring(A, ("norm.weight", 0), B, example=images(1, 3, 4, 5, 5))
def batch_norm_of_volumes():
    return ended(
        lambda m, x: m.b(F.relu(m.norm(m.a(x)))).mean((2, 3, 4)), 6,
        a=nn.Conv3d(3, 8, 3), norm=nn.BatchNorm3d(8), b=nn.Conv3d(8, 6, 1),
    )  # fmt: skip


@wiring(A, ("norm.weight", 0), B, example=images(2, 5, 6))
def rms_norm():
    return ended(lambda m, x: m.b(m.norm(m.a(x))).mean(1), 6, a=nn.Linear(6, 8), norm=nn.RMSNorm(8), b=nn.Linear(8, 6))


@wiring(("b.weight", 0), example=images(2, 5, 6), frozen="a.weight/0: a norm over it has no weights")
def layer_norm_without_weights():
    norm = nn.LayerNorm(8, elementwise_affine=False)
    return ended(lambda m, x: m.b(m.norm(m.a(x))).mean(1), 6, a=nn.Linear(6, 8), norm=norm, b=nn.Linear(8, 6))


@wiring(A, ("norm.weight", 0), B, example=images(2, 5, 6))
def layer_norm_without_bias():
    return ended(
        lambda m, x: m.b(m.norm(m.a(x))).mean(1), 6,
        a=nn.Linear(6, 8), norm=nn.LayerNorm(8, bias=False), b=nn.Linear(8, 6),
    )  # fmt: skip


@wiring(("b.weight", 0))
def layer_norm_over_rows_and_columns():
    return between(nn.LayerNorm([6, 6]))


@wiring(("b.weight", 0), frozen="a.weight/0: `mean` is taken over it")
def layer_norm_by_hand():
    def connect(m, x):
        x = m.a(x)
        x = (x - x.mean(1, keepdim=True)) / (x.var(1, keepdim=True) + 1e-5).sqrt()
        return mean(m.b(x * m.gain[:, None, None]))

    net = ended(connect, 6, a=conv(3, 8), b=conv(8, 6))
    net.gain = nn.Parameter(torch.rand(8) + 0.5)
    return net


@wiring(("b.weight", 0), frozen="a.weight/0: `mean` is taken over it")
def rms_norm_by_hand():
    def connect(m, x):
        x = m.a(x)
        return mean(m.b(x * torch.rsqrt(x.pow(2).mean(1, keepdim=True) + 1e-6) * m.gain.view(1, -1, 1, 1)))

    net = ended(connect, 6, a=conv(3, 8), b=conv(8, 6))
    net.gain = nn.Parameter(torch.rand(8) + 0.5)
    return net


@wiring(("b.weight", 0), frozen="a.weight/0: ")
def local_response_norm():
    return between(nn.LocalResponseNorm(3))


@wiring(A, B)
def global_response_norm_over_space():
    def connect(m, x):
        x = m.a(x)
        size = x.norm(dim=(2, 3), keepdim=True)
        return mean(m.b(x * (size / (size + 1.0))))

    return ended(connect, 6, a=conv(3, 8), b=conv(8, 6))


@wiring(("b.weight", 0), frozen="a.weight/0: `mean` is taken over it")
def global_response_norm():
    """ConvNeXt V2's: each channel's size over the mean of all."""

    def connect(m, x):
        x = m.a(x)
        size = x.norm(dim=(2, 3), keepdim=True)
        return mean(m.b(x + x * (size / (size.mean(1, keepdim=True) + 1e-6)) * m.gain.view(1, -1, 1, 1)))

    net = ended(connect, 6, a=conv(3, 8), b=conv(8, 6))
    net.gain = nn.Parameter(torch.randn(8))
    return net


@wiring(A, B)
def frozen_batch_norm_by_buffers():
    def connect(m, x):
        scale = m.gain * (m.variance + 1e-5).rsqrt()
        shift = m.offset - m.middle * scale
        return mean(m.b(F.relu(m.a(x) * scale.reshape(1, -1, 1, 1) + shift.reshape(1, -1, 1, 1))))

    net = ended(connect, 6, a=conv(3, 8), b=conv(8, 6))
    for name in ("gain", "variance", "offset", "middle"):
        net.register_buffer(name, torch.rand(8) + 0.5)
    return net


class StandardisedConv(nn.Conv2d):
    """timm's: each filter with mean zero and variance one, scaled by a gain."""

    def __init__(self, ins, outs):
        super().__init__(ins, outs, 3, padding=1)
        self.gain = nn.Parameter(torch.rand(outs, 1, 1, 1) + 0.5)

    def forward(self, x):
        weight = F.batch_norm(
            self.weight.reshape(1, self.out_channels, -1), None, None,
            weight=(self.gain * 0.3).view(-1), training=True, momentum=0.0, eps=1e-6,
        ).reshape_as(self.weight)  # fmt: skip
        return F.conv2d(x, weight, self.bias, padding=1)


@wiring(("s.weight", 0), ("s.gain", 0), ("b.weight", 1))
def standardised_weight():
    return ended(
        lambda m, x: mean(m.b(F.relu(m.s(F.relu(m.a(x)))))), 6, a=conv(3, 8), s=StandardisedConv(8, 7), b=conv(7, 6)
    )


class CentredConv(nn.Conv2d):
    def forward(self, x):
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        weight = weight / (weight.std((1, 2, 3), keepdim=True) + 1e-5)
        return F.conv2d(x, weight, self.bias, padding=1)


@wiring(("s.weight", 0), ("b.weight", 1))
def standardised_weight_by_hand():
    return ended(
        lambda m, x: mean(m.b(F.relu(m.s(F.relu(m.a(x)))))), 6,
        a=conv(3, 8), s=CentredConv(8, 7, 3), b=conv(7, 6),
    )  # fmt: skip


@wiring(("b.weight", 0))
def weight_norm():
    return ended(
        lambda m, x: mean(m.b(F.relu(m.w(F.relu(m.a(x)))))), 6,
        a=conv(3, 8), w=parametrizations.weight_norm(conv(8, 7)), b=conv(7, 6),
    )  # fmt: skip


@wiring(("b.weight", 0))
def spectral_norm():
    return ended(
        lambda m, x: mean(m.b(F.relu(m.w(F.relu(m.a(x)))))), 6,
        a=conv(3, 8), w=parametrizations.spectral_norm(conv(8, 7)), b=conv(7, 6),
    )  # fmt: skip


class Absolute(nn.Module):
    def forward(self, weight):
        return weight.abs() * 0.2


class Shifted(nn.Module):
    def forward(self, weight):
        return weight + 0.1


def parametrized(how):
    net = ended(
        lambda m, x: mean(m.b(F.relu(m.w(F.relu(m.a(x)))))), 6, a=conv(3, 8), w=conv(8, 7, bias=False), b=conv(7, 6)
    )
    parametrize.register_parametrization(net.w, "weight", how)
    return net


@wiring(("b.weight", 0))
def weight_that_is_a_function():
    return parametrized(Absolute())


@wiring(("b.weight", 0))
def weight_that_is_not_zero_where_its_parameter_is():
    return parametrized(Shifted())


@wiring(("b.weight", 0))
def scaled_weight_by_hand():
    def connect(m, x):
        weight = m.w.weight * m.gain[:, None, None, None] / (m.w.weight.flatten(1).norm(dim=1).view(-1, 1, 1, 1) + 1e-6)
        return mean(m.b(F.relu(F.conv2d(m.a(x), weight, m.w.bias, padding=1))))

    net = ended(connect, 6, a=conv(3, 8), w=conv(8, 7), b=conv(7, 6))
    net.gain = nn.Parameter(torch.rand(7) + 0.5)
    return net


@wiring(("b.weight", 0))
def weights_mixed_by_attention():
    """CondConv's: the weight is a sum of experts, each image with its own."""

    def connect(m, x):
        route = m.route(mean(x)).sigmoid()  # [N, experts]
        weight = (route @ m.experts).view(len(x) * 8, 3, 3, 3)
        n, c, h, w = x.shape
        x = F.conv2d(x.reshape(1, n * c, h, w), weight, padding=1, groups=n).view(n, 8, h, w)
        return mean(m.b(x))

    net = ended(connect, 6, route=nn.Linear(3, 4), b=conv(8, 6))
    net.experts = nn.Parameter(torch.randn(4, 8 * 3 * 9))
    return net
