"""Every network of the corpus: what is found, and what holds of each cut of it, of the cut's cut, and of that one's."""

import functools
import gc
import re
import warnings
import weakref

import numpy as np
import pytest
import torch

from elastic.errors import NothingToPrune
from elastic.plan import NEVER
from elastic.tracing import trace
from elastic.tracing.twin import random_twin, run
from tests.wirings import WIRINGS
from tests.wirings.claims import (
    NEAR,
    comes_back,
    costs_of,
    counted,
    cut_of,
    double,
    error_of,
    hidden,
    successive,
    tensors,
)

RATIOS = (0.3, 0.9, *(pytest.param(ratio, marks=pytest.mark.slow) for ratio in (0.5, 0.8)))
CUTS = 3

# InstanceNorm without weights says that it sees another width; only cosmetic.
pytestmark = pytest.mark.filterwarnings("ignore:input's size at dim=1:UserWarning")

FOLLOWED = [name for name, wiring in WIRINGS.items() if not wiring.refused]
FROZEN = [name for name, wiring in WIRINGS.items() if wiring.frozen]
REFUSED = [name for name, wiring in WIRINGS.items() if wiring.refused]
LIBRARY = [name for name, wiring in WIRINGS.items() if wiring.library]


def made(name):
    torch.manual_seed(0)
    return WIRINGS[name].make(), WIRINGS[name].example()


@functools.cache
def traced(name):
    return trace(*made(name))


@functools.cache
def cuts(name, ratio):
    """Return (network, plan, levels) of successive cuts, in float64 with random weights, and the example."""
    model, example = made(name)
    inputs = double(example)
    return list(successive(random_twin(model).double(), inputs, ratio, CUTS)), inputs


@pytest.fixture(scope="module", autouse=True)
def _nothing_kept():
    yield
    cuts.cache_clear()
    traced.cache_clear()


def hooks(model):
    return [
        (len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks), len(m._backward_pre_hooks))
        for m in model.modules()
    ]


@pytest.mark.parametrize("name", FOLLOWED)
def test_what_should_be_elastic_is(name):
    plan = traced(name)
    assert [home for home in WIRINGS[name].cut if home not in plan.axes] == []


@pytest.mark.parametrize("name", LIBRARY)
def test_what_the_library_follows_is_elastic_by_its_graph(name):
    plan = trace(*made(name), engine="torch-pruning")
    assert [home for home in WIRINGS[name].cut if home not in plan.axes] == []


@pytest.mark.parametrize("name", LIBRARY)
def test_nothing_that_the_library_follows_is_lost(name):
    ours, theirs = traced(name), trace(*made(name), engine="torch-pruning")
    assert elastic_positions(ours) >= elastic_positions(theirs)


def elastic_positions(plan):
    return {(home, position) for home, labels in plan.axes.items() for position in np.flatnonzero(labels != NEVER)}


@pytest.mark.parametrize("name", FROZEN)
def test_what_can_not_be_followed_is_frozen_with_a_reason(name):
    reasons = "\n".join(f"{f.tensor}/{f.axis}: {f.reason}" for f in traced(name).frozen)
    assert re.search(WIRINGS[name].frozen, reasons), reasons


@pytest.mark.parametrize("name", REFUSED)
def test_a_network_with_nothing_to_prune_is_refused(name):
    with pytest.raises(NothingToPrune, match=WIRINGS[name].refused):
        trace(*made(name))


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("name", FOLLOWED)
def test_cutting_is_masking_three_times_over(name, ratio):
    found, example = cuts(name, ratio)
    assert max(error_of(net, example, plan, levels) for net, plan, levels in found) < NEAR


@pytest.mark.parametrize("name", FOLLOWED)
def test_the_first_or_last_unit_of_any_group_may_leave(name):
    assert worst(name, edges) < NEAR


@pytest.mark.parametrize("name", FOLLOWED)
def test_any_group_may_leave_whole_where_something_else_stays(name):
    assert worst(name, whole_groups) < NEAR


def worst(name, choices):
    model, example = made(name)
    plan, inputs, model = traced(name), double(example), random_twin(model).double()
    return max((error_of(model, inputs, plan, levels) for levels in choices(plan)), default=0)


def edges(plan):
    for group in plan.groups:
        for unit in group.units[[0, -1]] if len(group.units) > 1 else ():
            yield (np.arange(plan.units) == unit).astype(np.uint8)


def whole_groups(plan):
    for group in plan.groups:
        if all((~np.isin(plan.axes[home], group.units)).any() for home in group.axes):
            yield np.isin(np.arange(plan.units), group.units).astype(np.uint8)


@pytest.mark.parametrize("ratio", [0.3, pytest.param(0.8, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", FOLLOWED)
def test_costs_of_every_cut_are_counted_ones(name, ratio):
    found, example = cuts(name, ratio)
    wanted = [counted(cut_of(net, plan, levels), example) for net, plan, levels in found]
    assert [costs_of(plan, levels) for _, plan, levels in found] == wanted


@pytest.mark.parametrize("name", FOLLOWED)
def test_what_was_cut_comes_back_bit_for_bit(name):
    found, _ = cuts(name, 0.3)
    assert all(comes_back(net, plan, levels) for net, plan, levels in found)


@pytest.mark.parametrize("name", FOLLOWED)
def test_a_cut_network_can_be_trained(name):
    found, example = cuts(name, 0.3)
    small = cut_of(*found[0]).requires_grad_(True).train()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # norms that keep no numbers say that they see another width
        sum(t.square().sum() for t in tensors(run(small, example)) if t.requires_grad).backward()
    assert all(p.grad.isfinite().all() for p in small.parameters() if p.grad is not None)
    assert any(p.grad is not None for p in small.parameters())


@pytest.mark.parametrize("name", list(WIRINGS))
def test_tracing_leaves_the_model_as_it_was(name):
    model, example = made(name)
    model.train()
    state = {key: (tensor, tensor.clone()) for key, tensor in model.state_dict(keep_vars=True).items()}
    flags = [p.requires_grad for p in model.parameters()]
    before, held = hooks(model), hidden(model)
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
    assert hidden(model) == held


@pytest.mark.parametrize("name", ["chain", "grouped", "tied_weights", "recurrent", "attention", "transposed_grouped"])
def test_a_plan_keeps_no_weights_alive(name):
    model, example = made(name)
    plan = trace(model, example)
    references = [weakref.ref(p) for p in model.parameters()]
    del model
    gc.collect()
    assert plan.units
    assert [r for r in references if r() is not None] == []
