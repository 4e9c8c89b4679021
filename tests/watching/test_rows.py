"""Rows: what a layer reads, times its weights, is what it makes."""

import pytest
import torch
import torch.nn.functional as F

from elastic.watching import rows
from elastic.watching.calls import Call

CONVOLUTIONS = {
    "plain": ((2, 4, 7, 7), (6, 4, 3, 3), {"padding": 1}),
    "strided": ((2, 4, 8, 7), (6, 4, 3, 2), {"stride": (2, 3), "padding": (0, 1)}),
    "dilated": ((2, 4, 9, 9), (6, 4, 3, 3), {"dilation": 2, "padding": 2}),
    "grouped": ((2, 4, 7, 7), (6, 2, 3, 3), {"groups": 2}),
    "depthwise": ((2, 4, 7, 7), (8, 1, 3, 3), {"groups": 4, "padding": 1}),
    "as large as it was": ((2, 4, 7, 7), (6, 4, 5, 3), {"padding": "same", "dilation": (1, 2)}),
    "without padding": ((2, 4, 7, 7), (6, 4, 3, 3), {"padding": "valid"}),
    "of sequences": ((2, 4, 9), (6, 4, 3), {"stride": 2, "padding": 1}),
    "of volumes": ((1, 2, 5, 4, 6), (3, 2, 2, 1, 3), {"padding": (1, 0, 1)}),
}


def layers(generator):
    for name, (shape, kernel, options) in CONVOLUTIONS.items():
        x, weight = (torch.randn(s, generator=generator, dtype=torch.float64) for s in (shape, kernel))
        bias = torch.randn(kernel[0], generator=generator, dtype=torch.float64)
        yield name, Call(0, getattr(F, f"conv{len(kernel) - 2}d"), (x, weight, bias), options)
    x, weight = (torch.randn(s, generator=generator, dtype=torch.float64) for s in ((2, 5, 4), (6, 4)))
    yield "linear", Call(0, F.linear, (x, weight, torch.randn(6, generator=generator, dtype=torch.float64)), {})


CALLS = dict(layers(torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("most", [5, 10_000], ids=["some positions", "all positions"])
@pytest.mark.parametrize("name", CALLS)
def test_rows_times_weights_are_the_outputs(name, most):
    call = CALLS[name]
    made, layer = call.run(), rows.layer_of(call)
    index = rows.choose(made, layer, most, torch.Generator().manual_seed(0))
    got = rows.read(layer, index) @ rows.weights(layer) + layer.bias.view(layer.groups, 1, -1)
    torch.testing.assert_close(got, rows.at(made, layer, index))


@pytest.mark.parametrize("name", CALLS)
def test_no_position_is_drawn_twice(name):
    call = CALLS[name]
    made, layer = call.run(), rows.layer_of(call)
    index = rows.choose(made, layer, 10_000, torch.Generator().manual_seed(0))
    assert len(set(zip(*(places.tolist() for places in index), strict=True))) == made.numel() // layer.weight.shape[0]
