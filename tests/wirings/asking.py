"""What code asks of shapes and modes, and inputs and outputs of all forms."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from tests.wirings.gating import over
from tests.wirings.registry import Wired, conv, ended, images, mean, wiring

A = ("a.weight", 0)
B = ("b.weight", 1)


@wiring(("b.weight", 0), example=images(1, 3, 6, 6), frozen="a.weight/0: a constant in `mul` follows the width")
def scaled_by_the_number_of_channels():
    return over(lambda x: x * x.shape[1] ** -0.5)


@wiring(A, B)
def scaled_by_the_number_of_pixels():
    return over(lambda x: x / (x.shape[2] * x.shape[3]))


@wiring(("b.weight", 0), frozen="a.weight/0: the network takes another way")
def another_way_for_wide_maps():
    return over(lambda x: F.relu(x) if x.shape[1] >= 6 else x.abs())


@wiring(A, B)
def looks_at_its_shape():
    return over(lambda x: x.view(x.size(0), x.size(1), x.numel() // x.size(0) // x.size(1)).view_as(x))


@wiring(A, B)
def dropped_out():
    net = ended(
        lambda m, x: mean(m.b(m.drop(F.dropout(m.a(x), 0.5, m.training)))),
        6,
        a=conv(3, 8),
        drop=nn.Dropout2d(),
        b=conv(8, 6),
    )
    return net.train()


@wiring(A, B)
def stochastic_depth():
    def connect(m, x):
        x = m.a(x)
        if not m.training:
            return mean(m.b(x + m.c(x)))
        keep = x.new_empty((len(x), 1, 1, 1)).bernoulli_(0.5)
        return mean(m.b(x + m.c(x) * keep))

    return ended(connect, 6, a=conv(3, 8), c=conv(8, 8), b=conv(8, 6)).train()


@dataclass
class Found:
    boxes: torch.Tensor
    scores: list


@wiring(("a.weight", 0), ("b.weight", 0), example=lambda: ({"x": images()(), "more": [images(1, 2, 6, 6)()]}, True))
def nested_inputs_and_outputs():
    def connect(m, inputs, flag):
        x = F.relu(m.a(inputs["x"]) + m.c(inputs["more"][0])) if flag else inputs["x"]
        y = F.relu(m.b(x))
        return {"box": (m.d(y), [m.e(y)]), "score": mean(m.d(y))}

    return Wired(connect, a=conv(3, 8), c=conv(2, 8), b=conv(8, 10), d=conv(10, 4), e=conv(10, 2))


@wiring(
    ("b.weight", 1),
)
def a_record_as_output():
    def connect(m, x):
        y = F.relu(m.a(x))
        return Found(mean(m.b(y)), [m.c(y)])

    return Wired(connect, a=conv(3, 8), b=conv(8, 4), c=conv(8, 2))


@wiring(A, B)
def head_for_training_only():
    def connect(m, x):
        x = F.relu(m.a(x))
        return (mean(m.b(x)), mean(m.aux(x))) if m.training else mean(m.b(x))

    return Wired(connect, a=conv(3, 8), b=conv(8, 6), aux=conv(8, 4))


@wiring(A, B, example=lambda: images(2, 3, 6, 6)().to(memory_format=torch.channels_last))
def in_channels_last():
    return ended(
        lambda m, x: m.b(F.relu(m.norm(m.a(x)))).mean((2, 3)), 6, a=conv(3, 8), norm=nn.BatchNorm2d(8), b=conv(8, 6)
    ).to(memory_format=torch.channels_last)  # fmt: skip


@wiring(A, B)
def computed_by_random_numbers():
    return ended(lambda m, x: mean(m.b(m.a(x) + 0 * torch.randn_like(m.a(x)))), 6, a=conv(3, 8), b=conv(8, 6))


@wiring(("b.weight", 0), example=images(2, 4, 8))
def a_transformer_layer_of_torch():
    return ended(
        lambda m, x: m.b(m.mix(m.a(x))).mean(1), 6,
        a=nn.Linear(8, 8), mix=nn.TransformerEncoderLayer(8, 2, 12, batch_first=True), b=nn.Linear(8, 6),
    )  # fmt: skip


@wiring(("b.weight", 0), example=images(2, 4, 8), frozen="mix.weight_hh_l0/0: GRU can't be followed")
def a_gated_recurrent_unit():
    return ended(
        lambda m, x: m.b(m.mix(m.a(x))[0][:, -1]),
        6,
        a=nn.Linear(8, 6),
        mix=nn.GRU(6, 7, batch_first=True),
        b=nn.Linear(7, 6),
    )


@wiring(A, B)
def a_list_of_blocks_that_is_walked():
    blocks = nn.Sequential(*(nn.Sequential(nn.BatchNorm2d(8), nn.ReLU(inplace=True), conv(8, 8)) for _ in range(3)))

    def connect(m, x):
        x = m.a(x)
        for block in m.blocks:
            x = x + block(x)
        return mean(m.b(x))

    return ended(connect, 6, a=conv(3, 8), blocks=blocks, b=conv(8, 6))
