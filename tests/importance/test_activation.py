"""What layers take in, over all batches."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from elastic.importance import Activation, Energy, score
from elastic.tracing import trace
from tests.importance import plain
from tests.wirings.registry import Wired, conv


def inputs_of(model, data):
    """All inputs of b and head of `chain`, by hand."""
    images = torch.cat([inputs for inputs, _ in data])
    first = F.relu(model.norm(model.a(images)))
    return {"b.weight": first.detach(), "head.weight": model.b(first).mean((2, 3)).detach()}


@pytest.mark.parametrize("p", [1, 2])
def test_activation_is_the_mean_over_all_batches_of_what_consumers_take_in(p):
    model, plan = plain.network("chain")
    data = plain.data_for(model, sizes=(4, 3, 1))
    expected = np.zeros(plan.units)
    for name, values in inputs_of(model, data).items():
        for channel, unit in enumerate(plan.axes[name, 1]):
            expected[unit] += values[:, channel].abs().pow(p).mean().item()
    np.testing.assert_allclose(Activation(data, p)(model, plan), expected, rtol=1e-12)


def test_energy_is_the_share_of_what_consumers_make():
    model, plan = plain.network("chain")
    data = plain.data_for(model)
    expected = np.zeros(plan.units)
    for name, values in inputs_of(model, data).items():
        module = model.get_submodule(name.removesuffix(".weight"))
        with torch.no_grad():
            made = module(values).square().sum().item()
        weight = module.weight.detach()
        places = module(values).numel() / len(weight)
        for channel, unit in enumerate(plan.axes[name, 1]):
            lost = (weight[:, channel].square().sum() * values[:, channel].var(correction=0)).item()
            expected[unit] += lost / (made / places)
    np.testing.assert_allclose(Energy(data)(model, plan), expected, rtol=1e-5)


def residual():
    """A block whose second layer goes through a norm into a sum; its plan and images."""
    torch.manual_seed(0)

    def connect(net, x):
        return x + net.norm(net.second(F.relu(net.first(x))))

    model = Wired(connect, first=conv(3, 4), second=conv(4, 3, bias=False), norm=nn.BatchNorm2d(3)).eval()
    nn.init.uniform_(model.norm.weight, 0.5, 2)
    nn.init.uniform_(model.norm.running_var, 0.5, 2)
    x = torch.randn(4, 3, 6, 6)
    return model, trace(model, x[:1]), x


def test_energy_is_measured_behind_the_norm_and_at_the_sum():
    model, plan, x = residual()
    norm = model.norm
    with torch.no_grad():
        hidden, total = F.relu(model.first(x)), model(x).square().sum(1).mean().item()
        gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        weight = model.second.weight * gain.view(-1, 1, 1, 1)
    lost = weight.square().sum((0, 2, 3)) * hidden.var((0, 2, 3), correction=0)
    found = Energy([x])(model, plan)[plan.axes["second.weight", 1]]
    np.testing.assert_allclose(found, lost / total, rtol=1e-5)


def test_energy_stays_where_a_norm_takes_a_scale_away():
    model, plan, x = residual()
    before = Energy([x])(model, plan)
    with torch.no_grad():
        model.second.weight *= 3
        model.norm.running_mean *= 3
        model.norm.running_var *= 9
    np.testing.assert_allclose(Energy([x])(model, plan), before, rtol=1e-3)


def test_batches_of_other_sizes_give_the_same_activation():
    model, plan = plain.network("residual")
    (whole,) = data = plain.data_for(model, sizes=(8,))
    parts = [(whole[0][some], whole[1][some]) for some in (slice(5), slice(5, 8))]
    np.testing.assert_allclose(
        score(model, plan, "activation", data=parts), score(model, plan, "activation", data=data)
    )


def test_activation_needs_no_labels():
    model, plan = plain.network("chain")
    data = plain.data_for(model)
    alone = score(model, plan, "activation", data=[inputs for inputs, _ in data])
    assert (alone == score(model, plan, "activation", data=data)).all()


def test_units_that_no_layer_is_seen_to_take_in_are_not_left_at_zero():
    model, plan = plain.network("depthwise")
    model.b.weight.data = torch.zeros_like(model.b.weight)
    found = score(model, plan, "activation", data=plain.data_for(model))
    assert (found > 0).all()


def test_several_inputs_are_given_as_a_tuple_or_by_name():
    model, plan = plain.network("two_inputs")
    shapes = [tensor.shape[1:] for tensor in plain.WIRINGS["two_inputs"].example()]
    inputs = tuple(torch.randn(3, *shape, dtype=torch.float64) for shape in shapes)
    assert score(model, plan, "activation", data=[(inputs, None)]).shape == (plan.units,)


def test_a_dictionary_of_inputs_is_passed_by_name():
    model, plan = plain.network("named_inputs")
    example = plain.WIRINGS["named_inputs"].example()
    inputs = {k: torch.randn(3, *v.shape[1:], dtype=torch.float64) for k, v in example.items()}
    assert score(model, plan, "activation", data=[inputs]).shape == (plan.units,)
