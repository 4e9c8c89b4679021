"""Proofs that would fail: a plan that is wrong, a tensor that differs in one bit."""

import copy
import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import nn

import elastic
from elastic import models
from elastic.errors import ProofFailed
from elastic.plan import NEVER
from elastic.proofs import prove_cut, prove_equal, relative_error, same_bits

EXAMPLE = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def pruned():
    torch.manual_seed(0)
    model = models.build("elastic/digits_resnet").eval()
    for parameter in model.parameters():
        nn.init.uniform_(parameter, 0.0, 0.5)  # nothing is hidden behind a unit that is dead
    return elastic.prune(model, EXAMPLE, target=["macs=25%", "macs=50%"])


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_cut_that_is_right_is_proven_to_rounding(pruned, level):
    assert prove_cut(pruned.whole, pruned.plan, pruned.levels, level, EXAMPLE) < 1e-12


def relabelled(plan, axis, change):
    return dataclasses.replace(plan, axes={**plan.axes, axis: change(plan.axes[axis].copy())})


def reversed_labels(labels):
    labels[labels != NEVER] = labels[labels != NEVER][::-1]
    return labels


@pytest.mark.parametrize("axis", [("layer1.0.conv2.weight", 1), ("layer2.0.bn1.weight", 0), ("fc.weight", 1)], ids=str)
def test_labels_in_the_wrong_order_are_found(pruned, axis):
    with pytest.raises(ProofFailed, match=r"level 0: the cut network differs from the masked one by .* plan is wrong"):
        prove_cut(pruned.whole, relabelled(pruned.plan, axis, reversed_labels), pruned.levels, 0, EXAMPLE)


def test_two_labels_that_are_swapped_are_found(pruned):
    axis = ("layer1.0.conv2.weight", 1)
    labels = pruned.plan.axes[axis]
    stays, leaves = (np.flatnonzero((pruned.levels[labels] == 0) == wanted)[0] for wanted in (True, False))

    def swap(found):
        found[[stays, leaves]] = found[[leaves, stays]]
        return found

    with pytest.raises(ProofFailed, match="plan is wrong"):
        prove_cut(pruned.whole, relabelled(pruned.plan, axis, swap), pruned.levels, 0, EXAMPLE)


def test_the_model_comes_back_as_it_was(pruned):
    before, modes = copy.deepcopy(pruned.whole.state_dict()), [m.training for m in pruned.whole.modules()]
    prove_cut(pruned.whole, pruned.plan, pruned.levels, 0, EXAMPLE)
    assert all(same_bits(before[name], tensor) for name, tensor in pruned.whole.state_dict().items())
    assert [m.training for m in pruned.whole.modules()] == modes


def test_outputs_that_are_no_numbers_prove_nothing(pruned):
    broken = copy.deepcopy(pruned.whole)
    broken.fc.bias.data[0] = torch.nan
    with pytest.raises(ProofFailed, match="by nan of the output"):
        prove_cut(broken, pruned.plan, pruned.levels, 0, EXAMPLE)


@pytest.fixture
def state():
    return {"a": torch.tensor([0.0, 1.5, math.nan]), "b": torch.arange(4), "bn.num_batches_tracked": torch.tensor(3)}


def test_equal_states_are_counted(state):
    assert prove_equal(copy.deepcopy(state), state) == 3


def test_one_flipped_bit_is_found(state):
    other = copy.deepcopy(state)
    other["a"].view(torch.int32)[1] ^= 1
    with pytest.raises(ProofFailed, match="a differs from the original"):
        prove_equal(other, state)


def test_the_sign_of_zero_is_found(state):
    other = copy.deepcopy(state)
    other["a"][0] = -0.0
    with pytest.raises(ProofFailed, match="a differs from the original"):
        prove_equal(other, state)


@pytest.mark.parametrize(
    "other",
    [torch.tensor([0, 1, 2, 3], dtype=torch.int32), torch.arange(4).view(2, 2), torch.arange(3), torch.arange(4.0)],
    ids=["dtype", "shape", "length", "kind"],
)
def test_another_dtype_or_shape_is_found(state, other):
    with pytest.raises(ProofFailed, match="b differs from the original"):
        prove_equal(state | {"b": other}, state)


def test_a_missing_name_is_found(state):
    with pytest.raises(ProofFailed, match="b is in the original and not in what was rebuilt"):
        prove_equal({name: tensor for name, tensor in state.items() if name != "b"}, state)


def test_a_name_too_many_is_found(state):
    with pytest.raises(ProofFailed, match="c is not in the original"):
        prove_equal(state | {"c": torch.zeros(1)}, state)


def test_a_counter_that_old_checkpoints_lack_is_no_difference(state):
    original = {name: tensor for name, tensor in state.items() if "num_batches" not in name}
    assert prove_equal(state, original) == 2


def test_a_counter_that_differs_is_found(state):
    with pytest.raises(ProofFailed, match="num_batches_tracked differs"):
        prove_equal(state | {"bn.num_batches_tracked": torch.tensor(4)}, state)


def test_bits_are_compared_whatever_the_strides():
    tensor = torch.rand(4, 6)
    assert same_bits(tensor, tensor.t().contiguous().t())


@pytest.mark.parametrize("dtype", [torch.bool, torch.bfloat16, torch.float64, torch.int8, torch.float8_e4m3fn], ids=str)
def test_bits_of_any_dtype_are_compared(dtype):
    zeros, ones = torch.zeros(3).to(dtype), torch.ones(3).to(dtype)
    assert same_bits(zeros, zeros.clone())
    assert not same_bits(zeros, ones)


def test_empty_tensors_and_scalars_are_compared():
    assert same_bits(torch.zeros(0, 3), torch.zeros(0, 3))
    assert not same_bits(torch.zeros(0, 3), torch.zeros(3, 0))
    assert not same_bits(torch.tensor(1.0), torch.tensor(2.0))


def test_the_error_is_relative_to_the_largest_value():
    assert relative_error(torch.tensor([9.0, 0.0]), torch.tensor([10.0, 0.0])) == pytest.approx(0.1)


def test_outputs_of_another_shape_are_no_error_but_a_failure():
    with pytest.raises(ProofFailed, match=r"an output has shape \[2\], wanted \[3\]"):
        relative_error(torch.zeros(2), torch.zeros(3))
