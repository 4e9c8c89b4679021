import copy

import pytest
import torch
from torch import nn

from elastic.attention import FreeAttention, can_be_free, set_free
from elastic.cutting import cut
from elastic.fitting import fitted
from elastic.tracing import trace
from elastic.tracing.removals import some_removed

PADDING = torch.tensor([[False] * 5 + [True] * 2, [False] * 7])
MASKS = {
    "none": {},
    "padding": {"key_padding_mask": PADDING},
    "added": {"attn_mask": torch.randn(5, 7, dtype=torch.float64)},
    "hidden": {"attn_mask": torch.eye(5, 7, dtype=torch.bool)},
    "by head": {"attn_mask": torch.randn(6, 5, 7, dtype=torch.float64)},
}


def pair(**options):
    own = nn.MultiheadAttention(12, 3, **options).double().eval()
    free = copy.deepcopy(own)
    set_free(free)
    return own, free


def tokens(batch_first, length):
    x = torch.randn(2, length, 12, dtype=torch.float64)
    return x if batch_first else x.transpose(0, 1)


@pytest.mark.parametrize("average", [True, False], ids=["averaged", "by head"])
@pytest.mark.parametrize("need_weights", [True, False], ids=["weights", "no weights"])
@pytest.mark.parametrize("batch_first", [True, False], ids=["batch first", "length first"])
@pytest.mark.parametrize("mask", MASKS.values(), ids=list(MASKS))
def test_whole_it_is_what_torch_computes(mask, batch_first, need_weights, average):
    own, free = pair(batch_first=batch_first)
    x, y = tokens(batch_first, 5), tokens(batch_first, 7)
    options = {"need_weights": need_weights, "average_attn_weights": average, **mask}
    for wanted, got in zip(own(x, y, y, **options), free(x, y, y, **options), strict=True):
        assert wanted is got is None or torch.allclose(got, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("bias", [True, False])
def test_without_a_batch_it_is_what_torch_computes(bias):
    own, free = pair(bias=bias)
    x = torch.randn(5, 12, dtype=torch.float64)
    for wanted, got in zip(own(x, x, x), free(x, x, x), strict=True):
        assert torch.allclose(got, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("options", [{"add_bias_kv": True}, {"add_zero_attn": True}, {"kdim": 6, "vdim": 6}], ids=str)
def test_what_is_added_to_keys_can_not_be_free(options):
    assert not can_be_free(nn.MultiheadAttention(12, 3, **options))


def test_only_what_was_cut_changes_its_class():
    model = nn.Sequential(nn.Linear(6, 12), nn.TransformerEncoderLayer(12, 3, 24, batch_first=True), nn.Linear(12, 4))
    x = torch.randn(2, 5, 6)
    plan = trace(model.eval(), x)
    small = fitted(model, cut(model.state_dict(), plan, some_removed(plan, plan.groups)))
    with torch.no_grad():
        assert small(x).shape == (2, 5, 4)
    assert type(model[1].self_attn) is nn.MultiheadAttention
    assert type(small[1].self_attn) is FreeAttention
    assert small[1].self_attn.in_proj_weight.shape[0] < 36
