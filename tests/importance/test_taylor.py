"""First order, against loops over elements."""

import numpy as np
import pytest

from elastic.importance import Taylor, TaylorSigned, score
from tests.importance import plain

NETWORKS = ("chain", "depthwise", "grouped", "dense_block", "layer_norm_channels_last", "group_norm", "shared_layer")


def products(model, data):
    gradients = plain.mean_gradient(model, data)
    return {name: weight.detach() * gradients[name] for name, weight in plain.weights(model).items()}


@pytest.mark.parametrize("reduction", ["sum", "mean", "max"])
@pytest.mark.parametrize("name", NETWORKS)
def test_taylor_reduces_weight_times_gradient_without_sign(name, reduction):
    model, plan = plain.network(name)
    data = plain.data_for(model)
    expected = plain.over_units({k: v.abs() for k, v in products(model, data).items()}, plan, reduction)
    np.testing.assert_allclose(score(model, plan, "taylor", data=data, reduction=reduction), expected, rtol=1e-8)


@pytest.mark.parametrize("name", NETWORKS)
def test_signed_taylor_is_the_square_of_the_sum_over_a_unit(name):
    model, plan = plain.network(name)
    data = plain.data_for(model)
    expected = plain.over_units(products(model, data), plan) ** 2
    np.testing.assert_allclose(score(model, plan, "taylor-signed", data=data), expected, rtol=1e-6, atol=1e-20)


@pytest.mark.parametrize("criterion", [Taylor, TaylorSigned])
def test_norm_weights_count(criterion):
    model, plan = plain.network("chain")
    data = plain.data_for(model)
    before = criterion(data)(model, plan)
    ours = products(model, data)
    assert ours.pop("norm.weight").abs().sum() > 0
    without = plain.over_units({k: v.abs() for k, v in ours.items()}, plan)
    assert not np.allclose(before, without if criterion is Taylor else plain.over_units(ours, plan) ** 2)


def test_biases_count_where_they_are_asked_for():
    model, plan = plain.network("chain")
    data = plain.data_for(model)
    assert (Taylor(data, biases=True)(model, plan) > Taylor(data)(model, plan))[plan.axes["norm.bias", 0]].all()


def test_a_tied_weight_has_the_gradient_of_all_its_uses():
    model, plan = plain.network("tied_weights")
    data = plain.data_for(model, 6)
    expected = plain.over_units({k: v.abs() for k, v in products(model, data).items()}, plan)
    np.testing.assert_allclose(score(model, plan, "taylor", data=data), expected, rtol=1e-8)


def test_frozen_parameters_are_scored_like_the_others():
    model, plan = plain.network("chain")
    data = plain.data_for(model)
    before = score(model, plan, "taylor", data=data)
    model.requires_grad_(False)
    assert (score(model, plan, "taylor", data=data) == before).all()
