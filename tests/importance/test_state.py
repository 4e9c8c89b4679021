"""A criterion leaves everything as it was: modes, flags, gradients, buffers, random numbers."""

import pytest
import torch

from elastic.importance import CRITERIA, HESSIANS, score
from tests.importance import plain

NAMES = [(name, "obd") for name in CRITERIA] + [("hessian", way) for way in HESSIANS if way != "obd"]


@pytest.mark.parametrize(("name", "hessian"), NAMES)
def test_the_model_is_as_it_was_in_every_respect(name, hessian):
    model, plan = plain.network("chain")
    data = plain.data_for(model)
    model.train()
    model.a.eval()
    model.b.weight.requires_grad_(False)
    model.a.weight.grad = torch.ones_like(model.a.weight)
    state = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    draws = torch.get_rng_state()
    score(model, plan, name, data=data, hessian=hessian, gates=torch.rand(plan.units, generator=torch.Generator()))
    assert all(torch.equal(tensor, state[key]) for key, tensor in model.state_dict().items())
    assert [module.training for module in (model, model.a, model.norm)] == [True, False, True]
    assert [key for key, weight in model.named_parameters() if not weight.requires_grad] == ["b.weight"]
    assert torch.equal(model.a.weight.grad, torch.ones_like(model.a.weight))
    assert [key for key, weight in model.named_parameters() if weight.grad is not None] == ["a.weight"]
    assert torch.equal(torch.get_rng_state(), draws)


@pytest.mark.parametrize(("name", "hessian"), NAMES)
def test_a_name_gives_one_number_for_each_unit(name, hessian):
    model, plan = plain.network("chain")
    options = {"data": plain.data_for(model), "hessian": hessian, "gates": torch.arange(plan.units)}
    found = score(model, plan, name, **options)
    assert found.dtype == "float64"
    assert found.shape == (plan.units,)


def test_a_network_that_is_left_by_an_error_is_as_it_was():
    model, plan = plain.network("chain")
    model.train()
    model.requires_grad_(False)
    with pytest.raises(RuntimeError):
        score(model, plan, "taylor", data=[(torch.zeros(1, 5, 6, 6), torch.zeros(1).long())])
    assert model.norm.training
    assert not any(weight.requires_grad for weight in model.parameters())


def test_scores_are_the_same_where_gradients_are_switched_off():
    model, plan = plain.network("chain")
    data = plain.data_for(model)
    with torch.no_grad():
        off = score(model, plan, "hessian", data=data)
    assert (off == score(model, plan, "hessian", data=data)).all()


def test_a_buffer_that_counts_calls_is_as_it_was():
    model, plan = plain.network("chain")
    model.register_buffer("calls", torch.zeros(()))
    model.register_forward_hook(lambda module, inputs, output: module.calls.add_(1) and None)
    data = plain.data_for(model)
    model.calls.zero_()
    score(model, plan, "taylor", data=data)
    assert model.calls == 0
