import copy

import numpy as np
import pytest
import torch
from torch import nn

from elastic.cutting import cut
from elastic.errors import FitError
from elastic.fitting import fit, fitted
from elastic.tracing import trace
from tests.networks import chain, tied_weights

LAYERS = {
    "conv": (nn.Conv2d(4, 6, 3), nn.Conv2d(2, 5, 3)),
    "conv without bias": (nn.Conv1d(4, 6, 3, bias=False), nn.Conv1d(2, 5, 3, bias=False)),
    "grouped": (nn.Conv2d(8, 12, 3, groups=4), nn.Conv2d(4, 6, 3, groups=2)),
    "depthwise": (nn.Conv2d(6, 6, 3, groups=6), nn.Conv2d(2, 2, 3, groups=2)),
    "multiplied": (nn.Conv2d(6, 12, 3, groups=6), nn.Conv2d(2, 4, 3, groups=2)),
    "grouped down to one": (nn.Conv2d(8, 12, 3, groups=4), nn.Conv2d(2, 3, 3, groups=1)),
    "transposed": (nn.ConvTranspose2d(4, 6, 3), nn.ConvTranspose2d(2, 5, 3)),
    "transposed grouped": (nn.ConvTranspose2d(8, 12, 3, groups=4), nn.ConvTranspose2d(4, 6, 3, groups=2)),
    "conv3d": (nn.Conv3d(4, 6, 1), nn.Conv3d(3, 2, 1)),
    "linear": (nn.Linear(4, 6), nn.Linear(2, 5)),
    "batch norm": (nn.BatchNorm2d(6), nn.BatchNorm2d(4)),
    "batch norm without weights": (nn.BatchNorm1d(6, affine=False), nn.BatchNorm1d(4, affine=False)),
    "instance norm": (nn.InstanceNorm2d(6, affine=True), nn.InstanceNorm2d(4, affine=True)),
    "layer norm": (nn.LayerNorm(6), nn.LayerNorm(4)),
    "group norm": (nn.GroupNorm(4, 8), nn.GroupNorm(2, 4)),
    "group norm of one": (nn.GroupNorm(1, 8), nn.GroupNorm(1, 3)),
    "prelu": (nn.PReLU(6), nn.PReLU(4)),
    "embedding": (nn.Embedding(10, 6), nn.Embedding(10, 4)),
}


def sizes(module):
    """Return every plain attribute of a layer, the sizes among them."""
    return {key: value for key, value in vars(module).items() if not key.startswith("_") and key != "training"}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_becomes_what_its_tensors_say(name):
    whole, small = LAYERS[name]
    found = fitted(whole, small.state_dict())
    assert sizes(found) == sizes(small)
    assert repr(found) == repr(small)
    assert all(torch.equal(found.state_dict()[key], value) for key, value in small.state_dict().items())


# Of a layer that has one group left, nothing tells how large the groups were: it is the whole that has to be fitted.
@pytest.mark.parametrize("name", [name for name in LAYERS if name != "grouped down to one"])
def test_a_layer_grows_as_it_shrinks(name):
    whole, small = LAYERS[name]
    found = fitted(small, whole.state_dict())
    assert sizes(found) == sizes(whole)


def test_fitted_leaves_the_model_alone_and_shares_nothing():
    model = chain()
    before = copy.deepcopy(model.state_dict())
    found = fitted(model, model.state_dict())
    found.a.weight.data.zero_()
    found.norm.running_mean.fill_(7)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_parameters_that_keep_their_shape_keep_their_identity():
    model = chain()
    bias, weight = model.head.bias, model.a.weight
    small = small_state(model)
    fit(model, small)
    assert model.head.bias is bias
    assert model.a.weight is not weight


def test_what_is_frozen_stays_frozen():
    model = chain()
    model.a.requires_grad_(False)
    fit(model, small_state(model))
    assert [p.requires_grad for p in model.a.parameters()] == [False, False]
    assert model.b.weight.requires_grad


def test_a_model_keeps_its_dtype():
    model = chain()
    small = small_state(model)
    assert fit(model.to(torch.bfloat16), small).a.weight.dtype == torch.bfloat16


@pytest.mark.parametrize("verb", [fit, fitted])
def test_tied_names_stay_tied(verb):
    model = tied_weights()
    plan = trace(model, torch.randn(2, 6))
    levels = np.zeros(plan.units, np.uint8)
    levels[plan.axes["one.weight", 0][:3]] = 1
    found = verb(model, cut(model.state_dict(), plan, levels))
    assert found.one.weight is found.two.weight
    assert found.one.weight.shape == (5, 5)


def test_a_fitted_network_can_be_trained():
    model = chain()
    found = fitted(model, small_state(model))
    found(torch.randn(2, 3, 6, 6)).sum().backward()
    assert all(p.grad is not None and p.grad.shape == p.shape for p in found.parameters())


def small_state(model):
    plan = trace(model, torch.randn(1, 3, 6, 6))
    levels = np.zeros(plan.units, np.uint8)
    levels[plan.axes["a.weight", 0][:3]] = 1
    return cut(model.state_dict(), plan, levels)


def test_a_missing_name_is_refused():
    state = chain().state_dict()
    del state["a.bias"]
    with pytest.raises(FitError, match=r"lacks 1 tensors of the model, first a\.bias"):
        fit(chain(), state)


def test_an_unknown_name_is_refused():
    with pytest.raises(FitError, match=r"has 1 tensors that the model lacks, first c\.bias"):
        fit(chain(), {**chain().state_dict(), "c.bias": torch.ones(2)})


def test_another_number_of_axes_is_refused():
    with pytest.raises(FitError, match=r"a\.bias has 1 axes, the state dict's has 2"):
        fit(chain(), {**chain().state_dict(), "a.bias": torch.ones(8, 1)})


@pytest.mark.parametrize(
    ("layer", "state", "message"),
    [
        (
            nn.Conv2d(8, 12, 1, groups=4),
            {"weight": torch.ones(7, 2, 1, 1), "bias": torch.ones(7)},
            r"has 4 groups; a weight of shape \[7, 2, 1, 1\] has no whole groups",
        ),
        (nn.GroupNorm(4, 8), {"weight": torch.ones(3), "bias": torch.ones(3)}, "groups of 2 channels; 3 channels"),
        (
            nn.BatchNorm1d(4, track_running_stats=False),
            {"weight": torch.ones(3), "bias": torch.ones(4)},
            r"tensors of lengths \[3, 4\]",
        ),
        (nn.LSTM(4, 5), nn.LSTM(4, 3).state_dict(), r"LSTM\) can't change its size"),
        (
            nn.MultiheadAttention(4, 2, add_bias_kv=True),
            nn.MultiheadAttention(6, 2, add_bias_kv=True).state_dict(),
            r"\(.*\) can't change its size",
        ),
    ],
    ids=["grouped", "group norm", "lengths", "lstm", "attention"],
)  # fmt: skip
def test_what_a_layer_can_not_become_is_refused(layer, state, message):
    with pytest.raises(FitError, match=message):
        fit(nn.Sequential(layer), {f"0.{key}": value for key, value in state.items()})
