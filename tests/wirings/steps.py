"""Steps of random networks: each maps feature maps [N, C, 4, 4] to one, by a rule of tracing or several at once.

A step is made for the widths of its two inputs and a small number, and says how wide its output is; one that can't be
made for a width isn't.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from tests.wirings.registry import Wired

SIDE = 4  # pixels

Made = tuple[nn.Module, int] | None

STEPS: dict[str, Callable[[int, int, int], Made]] = {}
TWO_MAPS: set[str] = set()


def step(make):
    STEPS[make.__name__] = make
    return make


def of_two(make):
    TWO_MAPS.add(make.__name__)
    return step(make)


def plain(name, function, width=lambda a, size: a, fits=lambda a, size: True):
    """Add a step without layers."""
    STEPS[name] = lambda a, b, size: (
        (Wired(lambda m, x, y: function(x, size)), width(a, size)) if fits(a, size) else None
    )


def is_even(a, size):
    return a % 2 == 0


def is_square(a, size):
    return a % 4 == 0


def nhwc(function, x):
    return function(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def pool(x):
    return F.max_pool2d(x, 2)


def grow(x):
    return F.interpolate(x, scale_factor=2, mode="nearest")


plain("relu", lambda x, size: F.relu(x))
plain("sigmoid", lambda x, size: x.sigmoid())
plain("clamped", lambda x, size: x.clamp(-1, 0.5 * size) + 0.1 * (size - 1))
plain("squared", lambda x, size: x * x / 4 - F.gelu(x))
plain("normalised", lambda x, size: F.normalize(x, dim=1))
plain("softmax", lambda x, size: x.softmax(1 if size == 1 else 3))
plain("summed", lambda x, size: x * x.sum(1, keepdim=True).tanh())
plain("averaged", lambda x, size: x - x.mean(1 if size == 1 else 2, keepdim=True))
plain("expanded", lambda x, size: x + x.amax((2, 3), keepdim=True).expand_as(x))
plain("cumulated", lambda x, size: x.cumsum(1 if size == 1 else 2) / 3)
plain("flipped", lambda x, size: x.flip(1) if size < 3 else x.flip(3))
plain("flipped_onto_itself", lambda x, size: x + x.flip(1))
plain("rolled", lambda x, size: x.roll(1, 1) if size == 1 else x.roll((1, size), (2, 3)))
plain("halves_swapped", lambda x, size: torch.cat(x.chunk(2, 1)[::-1], 1), fits=is_even)
plain("halves_gated", lambda x, size: F.glu(x, 1), lambda a, size: a // 2, is_even)
plain("halves_multiplied", lambda x, size: torch.mul(*x.chunk(2, 1)), lambda a, size: a // 2, is_even)
plain("half", lambda x, size: x[:, : x.shape[1] // 2], lambda a, size: a // 2, is_even)
plain("sliced", lambda x, size: x[:, size:], lambda a, size: a - size, lambda a, size: a > size)
plain("strided", lambda x, size: x[:, ::2], lambda a, size: (a + 1) // 2, lambda a, size: a > 1)
plain("quarters", lambda x, size: sum(x.chunk(4, 1)), lambda a, size: a // 4, is_square)
plain("padded", lambda x, size: F.pad(x, (0, 0, 0, 0, size, 1)), lambda a, size: a + size + 1)
plain("padded_in_space", lambda x, size: F.pad(x, (1, 1, 1, 1), value=0.5)[..., 1:-1, 2:])
plain("repeated", lambda x, size: x.repeat(1, size, 1, 1), lambda a, size: a * size)
plain("interleaved", lambda x, size: x.repeat_interleave(size, 1), lambda a, size: a * size)
plain("unbound", lambda x, size: torch.stack(x.unbind(1)[::-1], 1))
plain("unbound_halves", lambda x, size: torch.sub(*x.unflatten(1, (2, -1)).unbind(1)), lambda a, size: a // 2, is_even)
plain(
    "interleaved_halves", lambda x, size: torch.sub(*x.unflatten(1, (-1, 2)).unbind(2)), lambda a, size: a // 2, is_even
)
plain("pixels_shuffled", lambda x, size: pool(F.pixel_shuffle(x, 2)), lambda a, size: a // 4, is_square)
plain("pixels_unshuffled", lambda x, size: grow(F.pixel_unshuffle(x, 2)), lambda a, size: 4 * a)
plain(
    "unfolded", lambda x, size: F.unfold(x, (1, 2), padding=(0, 1)).unflatten(2, (4, 5))[..., 1:], lambda a, size: 2 * a
)
plain("picked", lambda x, size: x * x[:, :1] + x[:, -1].unsqueeze(1))
plain("there_and_back", lambda x, size: x.flatten(1).view(x.shape).permute(2, 3, 0, 1).movedim((2, 3), (0, 1)))
plain("where", lambda x, size: torch.where(x > 0, x, 0.1 * x - 0.01).masked_fill(x > 2, 2.0))
plain("batched", lambda x, size: F.avg_pool2d(x.flatten(0, 1)[:, None], 3, 1, 1).view(len(x), -1, SIDE, SIDE))


@step
def shuffled(a, b, size):
    def by_hand(m, x, y):
        n, c, h, w = x.shape
        return x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)

    if a % 2:
        return None
    return (Wired(lambda m, x, y: m.mix(x), mix=nn.ChannelShuffle(2)) if size > 2 else Wired(by_hand)), a


@step
def space_written(a, b, size):
    def connect(m, x, y):
        x = x.clone()
        x[..., 0] = x[..., 1] * 2
        x[:, :, 1, :].copy_(x[:, :, 2, :]).add_(0.1 * (size - 1))
        return x * x.sum(1, keepdim=True).tanh()

    return Wired(connect), a


@step
def channels_written(a, b, size):
    def connect(m, x, y):
        x = x.clone()
        x[:, : x.shape[1] // 2] = F.relu(x[:, x.shape[1] // 2 :])
        return x

    return (Wired(connect), a) if a % 2 == 0 else None


@step
def conv(a, b, size):
    return Wired(lambda m, x, y: m.conv(x), conv=nn.Conv2d(a, 2 * size, 3, padding=1, bias=size % 2 == 0)), 2 * size
