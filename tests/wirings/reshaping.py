"""Axes that move, merge, split and grow: flattened maps, shuffles, padding, patches, tokens."""

import torch
import torch.nn.functional as F
from torch import nn

from tests.wirings.registry import conv, ended, images, mean, wiring

A = ("a.weight", 0)
B = ("b.weight", 1)


@wiring(A, B)
def pixels_unshuffled():
    return ended(lambda m, x: mean(m.b(F.pixel_unshuffle(m.a(x), 2))), 6, a=conv(3, 4), b=conv(16, 6))


@wiring(A, ("b.weight", 0))
def pixels_shuffled_and_back():
    def connect(m, x):
        return mean(m.b(F.pixel_unshuffle(m.norm(F.pixel_shuffle(m.a(x), 2)), 2)))

    return ended(connect, 6, a=conv(3, 16), norm=nn.BatchNorm2d(4), b=conv(16, 6))


@wiring(A, B)
def pixels_shuffled_by_hand():
    def connect(m, x):
        n, c, h, w = (x := m.a(x)).shape
        x = x.view(n, c // 4, 2, 2, h, w).permute(0, 1, 4, 2, 5, 3).reshape(n, c // 4, 2 * h, 2 * w)
        return mean(m.b(x))

    return ended(connect, 6, a=conv(3, 16), b=conv(4, 6))


@wiring(A, B)
def space_to_depth():
    def connect(m, x):
        x = m.a(x)
        return mean(m.b(torch.cat([x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2]], 1)))

    return ended(connect, 6, a=conv(3, 4), b=conv(16, 6))


@wiring(A, B)
def shuffled_by_the_module():
    return ended(lambda m, x: mean(m.b(m.mix(m.a(x)))), 6, a=conv(3, 12), mix=nn.ChannelShuffle(3), b=conv(12, 6))


@wiring(A, ("dw.weight", 0), B)
def shuffle_unit():
    def connect(m, x):
        u, v = m.a(x).chunk(2, 1)
        x = torch.cat([u, m.c(F.relu(m.dw(F.relu(m.d(v)))))], 1)
        n, c, h, w = x.shape
        return mean(m.b(x.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, c, h, w)))

    return ended(connect, 6, a=conv(3, 8), d=conv(4, 4, 1), dw=conv(4, 4, groups=4), c=conv(4, 4, 1), b=conv(8, 6))


@wiring(A, ("b.weight", 1))
def grouped_then_shuffled_then_grouped():
    return ended(
        lambda m, x: mean(m.c(F.relu(m.b(m.mix(F.relu(m.g(m.a(x)))))))), 6,
        a=conv(3, 8), g=conv(8, 12, groups=4), mix=nn.ChannelShuffle(4), b=conv(12, 8, groups=1), c=conv(8, 6),
    )  # fmt: skip


@wiring()
def groups_before_and_after_a_shuffle():
    return ended(
        lambda m, x: mean(m.c(F.relu(m.b(m.mix(F.relu(m.g(m.a(x)))))))), 6,
        a=conv(3, 8), g=conv(8, 8, groups=2), mix=nn.ChannelShuffle(2), b=conv(8, 8, groups=2), c=conv(8, 6),
    )  # fmt: skip


@wiring(A, B)
def flattened_from_nhwc():
    return ended(lambda m, x: m.b(m.a(x).permute(0, 2, 3, 1).flatten(1)), 6, a=conv(3, 4), b=nn.Linear(4 * 36, 6))


@wiring(A, B, example=images(2, 3, 6, 6))
def flattened_and_unflattened():
    def connect(m, x):
        x = m.a(x)
        return mean(m.b(m.norm(x.flatten(1)).view(x.shape)))

    return ended(connect, 6, a=conv(3, 4), norm=nn.BatchNorm1d(4 * 36), b=conv(4, 6))


@wiring(("b.weight", 0), example=images(2, 6), frozen="a.weight/0: its axis is taken apart by a constant in `view`")
def vector_made_an_image():
    return ended(lambda m, x: mean(m.b(F.relu(m.a(x).view(-1, 4, 3, 3)))), 6, a=nn.Linear(6, 36), b=conv(4, 6))


@wiring(("a.weight", 0), B, example=images(2, 6))
def vector_made_an_image_by_the_rest():
    return ended(lambda m, x: mean(m.b(F.relu(m.a(x).view(len(x), -1, 3, 3)))), 6, a=nn.Linear(6, 36), b=conv(4, 6))


@wiring(A, ("b.weight", 0), ("c.weight", 0))
def padded_shortcut_of_a_cifar_resnet():
    def connect(m, x):
        x = F.relu(m.a(x))
        short = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2))
        return mean(m.d(F.relu(short + m.c(F.relu(m.b(x))))))

    return ended(connect, 6, a=conv(3, 6), b=conv(6, 7, stride=2), c=conv(7, 10), d=conv(10, 6))


@wiring(A, ("b.weight", 0), ("c.weight", 0))
def shortcut_padded_with_zeros_by_cat():
    def connect(m, x):
        x = m.a(x)
        short = F.avg_pool2d(x, 2)
        short = torch.cat([short, torch.zeros_like(short)], 1)
        return mean(m.d(F.relu(short + m.c(F.relu(m.b(x))))))

    return ended(connect, 6, a=conv(3, 6), b=conv(6, 7, stride=2), c=conv(7, 12), d=conv(12, 6))


@wiring()
def padded_with_ones():
    return ended(lambda m, x: mean(m.b(F.pad(m.a(x), (1, 1, 1, 1, 0, 2), value=1.0))), 6, a=conv(3, 6), b=conv(8, 6))


@wiring(("b.weight", 0), frozen="a.weight/0: it is cropped by a constant")
def cropped_channels():
    return ended(lambda m, x: mean(m.b(F.pad(m.a(x), (0, 0, 0, 0, -1, 0)))), 6, a=conv(3, 6), b=conv(5, 6))


@wiring(A, B)
def padded_and_rolled_in_space():
    def connect(m, x):
        x = F.pad(m.a(x), (1, 1, 1, 1), mode="reflect")
        return mean(m.b(x.roll((1, -2), (2, 3)).flip(3)))

    return ended(connect, 6, a=conv(3, 6), b=conv(6, 6))


@wiring(("b.weight", 0))
def flipped_channels():
    return ended(lambda m, x: mean(m.b(m.a(x).flip(1)) + m.c(m.a(x))), 6, a=conv(3, 6), b=conv(6, 6), c=conv(6, 6))


@wiring(("b.weight", 0))
def flipped_and_added():
    def connect(m, x):
        x = m.a(x)
        return mean(m.b(x + x.flip(1)))

    return ended(connect, 6, a=conv(3, 6), b=conv(6, 6))


@wiring(("b.weight", 0), frozen="a.weight/0: it is shifted by a constant in `roll`")
def rolled_channels():
    return ended(lambda m, x: mean(m.b(m.a(x).roll(2, 1))), 6, a=conv(3, 6), b=conv(6, 6))


@wiring(("b.weight", 0), frozen="a.weight/0: it is shifted by a constant in `roll`")
def flattened_roll():
    return ended(lambda m, x: mean(m.b(m.a(x).roll(5))), 6, a=conv(3, 6), b=conv(6, 6))


@wiring(A, B)
def patches_unfolded():
    return ended(lambda m, x: m.b(F.unfold(m.a(x), 2, stride=2).mean(2)), 6, a=conv(3, 6), b=nn.Linear(24, 6))


@wiring(A, B)
def patches_folded():
    def connect(m, x):
        x = F.fold(m.a(x).flatten(2), (7, 7), 2)  # [N, 8, 36] -> [N, 2, 7, 7]
        return mean(m.b(x))

    return ended(connect, 6, a=conv(3, 8), b=conv(2, 6))


@wiring(A, B)
def patches_by_unfolding_a_tensor():
    def connect(m, x):
        x = m.a(x).unfold(2, 2, 2).unfold(3, 2, 2)  # [N, C, 3, 3, 2, 2]
        return m.b(x.flatten(4).mean((2, 3)).flatten(1))

    return ended(connect, 6, a=conv(3, 6), b=nn.Linear(24, 6))


class Mixer(nn.Module):
    def __init__(self, width=6, tokens=9):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.token1, self.token2 = nn.Linear(tokens, 7), nn.Linear(7, tokens)
        self.channel1, self.channel2 = nn.Linear(width, 10), nn.Linear(10, width)

    def forward(self, x):
        x = x + self.token2(F.gelu(self.token1(self.norm1(x).transpose(1, 2)))).transpose(1, 2)
        return x + self.channel2(F.gelu(self.channel1(self.norm2(x))))


@wiring(A, ("mixer.token1.weight", 0), ("mixer.channel1.weight", 0), ("mixer.norm1.weight", 0), B)
def tokens_mixed():
    def connect(m, x):
        x = m.mixer(m.a(x).flatten(2).transpose(1, 2))
        return m.b(x.mean(1))

    return ended(connect, 6, a=nn.Conv2d(3, 6, 2, 2), mixer=Mixer(), b=nn.Linear(6, 6))


@wiring(A, B, ("place", 2), ("token", 2))
def class_token_and_places():
    def connect(m, x):
        x = m.a(x).flatten(2).transpose(1, 2)
        x = torch.cat([m.token.expand(len(x), -1, -1), x], 1) + m.place
        return m.b(m.norm(x))[:, 0]

    net = ended(connect, 6, a=nn.Conv2d(3, 8, 2, 2), norm=nn.LayerNorm(8), b=nn.Linear(8, 6))
    net.token, net.place = nn.Parameter(torch.randn(1, 1, 8)), nn.Parameter(torch.randn(1, 10, 8))
    return net


@wiring(A, B, ("place", 1))
def places_of_an_image_resized():
    def connect(m, x):
        x = m.a(x)
        return mean(m.b(x + F.interpolate(m.place, size=x.shape[2:], mode="bilinear")))

    net = ended(connect, 6, a=conv(3, 8), b=conv(8, 6))
    net.place = nn.Parameter(torch.randn(1, 8, 3, 3))
    return net


@wiring(A, B, ("c.weight", 0))
def stacked_and_summed():
    def connect(m, x):
        return mean(m.b(torch.stack([m.a(x), m.c(x)]).sum(0)))

    return ended(connect, 6, a=conv(3, 8), c=conv(3, 8), b=conv(8, 6))


@wiring(A, B, ("c.weight", 0))
def stacked_and_interleaved():
    def connect(m, x):
        return mean(m.b(torch.stack([m.a(x), m.c(x)], 2).flatten(1, 2)))  # a0 c0 a1 c1 ...

    return ended(connect, 6, a=conv(3, 4), c=conv(3, 4), b=conv(8, 6))


@wiring(A, B)
def repeated_and_interleaved():
    def connect(m, x):
        x = m.a(x)
        return mean(m.b(x.repeat(1, 2, 1, 1)) + m.c(x.repeat_interleave(2, 1)) + m.d(x.tile(1, 2, 1, 1)))

    return ended(connect, 6, a=conv(3, 4), b=conv(8, 6), c=conv(8, 6), d=conv(8, 6))


@wiring(A, B)
def batch_and_channels_merged():
    def connect(m, x):
        x = m.a(x)
        y = F.avg_pool2d(x.flatten(0, 1).unsqueeze(1), 2).squeeze(1)  # each channel an image of its own
        return mean(m.b(y.view(len(x), -1, 3, 3)))

    return ended(connect, 6, a=conv(3, 8), b=conv(8, 6))


@wiring(A, B, example=images(1, 2, 3, 6, 6))
def frames_as_a_batch():
    def connect(m, x):
        n, t = x.shape[:2]
        x = mean(m.a(x.flatten(0, 1))).view(n, t, -1)
        return m.b(x).mean(1)

    return ended(connect, 6, a=conv(3, 8), b=nn.Linear(8, 6))


@wiring(A, B)
def moved_and_swapped_axes():
    def connect(m, x):
        x = m.a(x).movedim(1, -1).swapaxes(1, 2)
        return m.b(x.mT.transpose(-1, -2)).mean((1, 2))

    return ended(connect, 6, a=conv(3, 8), b=nn.Linear(8, 6))
