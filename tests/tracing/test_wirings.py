import gc
import re
import weakref

import pytest
import torch

from elastic.cutting import cut
from elastic.errors import NothingToPrune
from elastic.fitting import fitted
from elastic.masking import NormsOverWhatStays, masked
from elastic.proofs import relative_error
from elastic.tracing import trace
from elastic.tracing.probing import some_removed
from elastic.tracing.twin import outputs, random_twin, run
from tests.networks import WIRINGS

FOLLOWED = [name for name, wiring in WIRINGS.items() if not wiring.refused]
FROZEN = [name for name, wiring in WIRINGS.items() if wiring.frozen]
REFUSED = [name for name, wiring in WIRINGS.items() if wiring.refused]


def made(name):
    torch.manual_seed(0)
    return WIRINGS[name].make(), WIRINGS[name].example()


def double(example):
    if isinstance(example, torch.Tensor):
        return example.double() if example.is_floating_point() else example
    if isinstance(example, dict):
        return {key: double(value) for key, value in example.items()}
    return tuple(double(value) for value in example)


def hooks(model):
    return [
        (len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks), len(m._backward_pre_hooks))
        for m in model.modules()
    ]


@pytest.mark.parametrize("name", FOLLOWED)
def test_what_should_be_elastic_is(name):
    plan = trace(*made(name))
    assert [home for home in WIRINGS[name].cut if home not in plan.axes] == []


@pytest.mark.parametrize("name", FROZEN)
def test_what_can_not_be_followed_is_frozen_with_a_reason(name):
    plan = trace(*made(name))
    reasons = "\n".join(f"{f.tensor}/{f.axis}: {f.reason}" for f in plan.frozen)
    assert re.search(WIRINGS[name].frozen, reasons), reasons


@pytest.mark.parametrize("name", REFUSED)
def test_a_network_with_nothing_to_prune_is_refused(name):
    with pytest.raises(NothingToPrune, match=WIRINGS[name].refused):
        trace(*made(name))


@pytest.mark.filterwarnings("ignore:input's size at dim=1:UserWarning")  # InstanceNorm without weights: only cosmetic
@pytest.mark.parametrize("ratio", [0.3, 0.5, 0.9])
@pytest.mark.parametrize("name", FOLLOWED)
def test_cutting_is_masking(name, ratio):
    model, example = made(name)
    plan = trace(model, example)
    levels = some_removed(plan, plan.groups, ratio)
    whole, inputs = random_twin(model).double(), double(example)
    with NormsOverWhatStays(), torch.no_grad():
        got = outputs(run(fitted(whole, cut(whole.state_dict(), plan, levels)), inputs))
        wanted = outputs(run(fitted(whole, masked(whole.state_dict(), plan, levels)), inputs))
    assert max(relative_error(a, b) for a, b in zip(got, wanted, strict=True)) < 1e-9


@pytest.mark.parametrize("name", list(WIRINGS))
def test_tracing_leaves_the_model_as_it_was(name):
    model, example = made(name)
    model.train()
    state = {key: (tensor, tensor.clone()) for key, tensor in model.state_dict(keep_vars=True).items()}
    flags = [p.requires_grad for p in model.parameters()]
    before = hooks(model)
    try:
        trace(model, example)
    except NothingToPrune:
        assert WIRINGS[name].refused
    after = model.state_dict(keep_vars=True)
    assert all(after[key] is tensor and torch.equal(tensor, value) for key, (tensor, value) in state.items())
    assert all(module.training for module in model.modules())
    assert [p.requires_grad for p in model.parameters()] == flags
    assert all(p.grad is None for p in model.parameters())
    assert hooks(model) == before


@pytest.mark.parametrize("name", ["chain", "grouped", "tied_weights", "recurrent", "attention", "transposed_grouped"])
def test_a_plan_keeps_no_weights_alive(name):
    model, example = made(name)
    plan = trace(model, example)
    references = [weakref.ref(p) for p in model.parameters()]
    del model
    gc.collect()
    assert plan.units
    assert [r for r in references if r() is not None] == []
