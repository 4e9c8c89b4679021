from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch.utils.flop_counter import FlopCounterMode

from elastic.costs import CostModel
from elastic.cutting import cut, inner, regrow, shells
from elastic.errors import NothingToPrune, PlanMismatch, ShellMismatch
from elastic.fitting import fitted
from elastic.masking import NormsOverWhatStays, masked
from elastic.proofs import relative_error, same_bits
from elastic.tracing import trace
from elastic.tracing.twin import meta_twin
from tests.networks import chain, tied_weights
from tests.strategies import networks_with_levels


def is_same(found, wanted):
    return list(found) == list(wanted) and all(same_bits(found[name], wanted[name]) for name in wanted)


@given(networks_with_levels())
def test_regrow_gives_back_what_cut_took(case):
    model, _, plan, levels = case
    state, grown = model.state_dict(), shells(model.state_dict(), plan, levels)
    core = cut(state, plan, levels)
    assert all(
        is_same(regrow(core, grown[:level]), cut(state, plan, levels, level)) for level in range(1, len(grown) + 1)
    )
    assert is_same(regrow(core, grown), state)


@given(networks_with_levels())
def test_inner_is_the_level_below(case):
    model, _, plan, levels = case
    state = model.state_dict()
    for level in range(1, int(levels.max()) + 1):
        found = inner(cut(state, plan, levels, level), plan, levels, level)
        assert is_same(found, cut(state, plan, levels, level - 1))


def test_inner_refuses_another_level():
    model = chain()
    plan = trace(model, torch.zeros(1, 3, 6, 6))
    levels = np.arange(plan.units).astype(np.uint8) % 3
    with pytest.raises(ShellMismatch, match="this is not a state dict of that level"):
        inner(model.state_dict(), plan, levels, 1)


@given(networks_with_levels(), st.data())
def test_cutting_in_steps_is_cutting_at_once(case, data):
    model, _, plan, levels = case
    step = data.draw(st.integers(0, int(levels.max())))
    middle = fitted(model, cut(model.state_dict(), plan, levels, step))
    of_middle = renumbered(plan, levels, step)
    again = cut(middle.state_dict(), of_middle, levels[levels <= step])
    assert is_same(again, cut(model.state_dict(), plan, levels, 0))


def renumbered(plan, levels, level):
    """Return the plan of the network of a level, the remaining units renumbered without gaps."""
    stays = levels <= level
    numbers = np.append(np.where(stays, np.cumsum(stays) - 1, -2), -1)
    axes = {home: numbers[labels] for home, labels in plan.axes.items()}
    axes = {home: labels[labels > -2] for home, labels in axes.items()}
    shapes = CostModel(plan).shapes(stays)
    tensors = {name: replace(spec, shape=shapes[name]) for name, spec in plan.tensors.items()}
    return replace(plan, axes=axes, tensors=tensors)


@given(networks_with_levels())
def test_removing_is_zeroing(case):
    model, example, plan, levels = case
    state = model.state_dict()
    for level in range(int(levels.max()) + 1):
        with NormsOverWhatStays(), torch.no_grad():
            got = fitted(model, cut(state, plan, levels, level), plan.sizes(levels, level))(example)
            wanted = fitted(model, masked(state, plan, levels, level))(example)
        assert relative_error(got, wanted) < 1e-9


@given(case=networks_with_levels(most=3))
def test_costs_in_closed_form_are_counted_ones(tmp_path_factory, case):
    model, example, plan, levels = case
    core = cut(model.state_dict(), plan, levels)
    small, path = fitted(model, core, plan.sizes(levels)), tmp_path_factory.mktemp("costs") / "core.safetensors"
    save_file(core, path, metadata={"format": "pt"})
    with FlopCounterMode(display=False) as counter:
        meta_twin(small)(example.to("meta", torch.float32))
    cost = CostModel(plan).cost(levels == 0)
    assert cost.params == sum(p.numel() for p in small.parameters())
    assert cost.macs == counter.get_total_flops() // 2
    assert cost.bytes == path.stat().st_size


@given(networks_with_levels())
def test_a_cut_network_can_be_traced_again(case):
    model, example, plan, levels = case
    small = fitted(model, cut(model.state_dict(), plan, levels), plan.sizes(levels))
    try:
        again = trace(small, example)
    except NothingToPrune:
        return
    assert CostModel(again).dense == CostModel(plan).cost(levels == 0)


def test_tied_names_are_cut_once():
    model = tied_weights()
    plan = trace(model, torch.randn(2, 6))
    levels = np.zeros(plan.units, np.uint8)
    levels[plan.axes["one.weight", 0][:3]] = 1
    core = cut(model.state_dict(), plan, levels)
    assert core["one.weight"].shape == (5, 5)
    assert core["one.weight"] is core["two.weight"]


def test_tensors_that_lose_nothing_are_shared():
    model, plan, levels = small_case()
    state = model.state_dict()
    assert cut(state, plan, levels)["head.bias"].data_ptr() == state["head.bias"].data_ptr()


def test_names_that_are_missing_are_left_out():
    model, plan, levels = small_case()
    moments = {name: torch.ones_like(p) for name, p in model.named_parameters() if name != "a.bias"}
    core = cut(moments, plan, levels)
    assert list(core) == list(moments)
    assert is_same(regrow(core, shells(moments, plan, levels)), moments)


def test_an_unknown_name_is_refused():
    _, plan, levels = small_case()
    with pytest.raises(PlanMismatch, match=r"c\.weight is not in the plan"):
        cut({"c.weight": torch.ones(2)}, plan, levels)


def test_another_shape_is_refused():
    _, plan, levels = small_case()
    with pytest.raises(PlanMismatch, match=r"a.bias has shape \[9\], the plan says \[8\]"):
        cut({"a.bias": torch.ones(9)}, plan, levels)


def test_levels_of_another_plan_are_refused():
    model, plan, levels = small_case()
    with pytest.raises(PlanMismatch, match=r"levels of shape \[17\] for a plan of 18 units"):
        cut(model.state_dict(), plan, levels[1:])


def test_a_shell_of_another_core_is_refused():
    model, plan, levels = small_case()
    outer = shells(model.state_dict(), plan, levels)
    with pytest.raises(ShellMismatch, match="8 positions along axis 0, level 1 extends 5"):
        regrow(model.state_dict(), outer)


def test_a_core_without_a_tensor_is_refused():
    model, plan, levels = small_case()
    core = cut(model.state_dict(), plan, levels)
    del core["a.weight"]
    with pytest.raises(ShellMismatch, match=r"level 1 extends a\.weight, which the core lacks"):
        regrow(core, shells(model.state_dict(), plan, levels))


def small_case():
    model = chain()
    plan = trace(model, torch.randn(1, 3, 6, 6))
    levels = np.zeros(plan.units, np.uint8)
    levels[plan.axes["a.weight", 0][[0, 3, 4]]] = 1
    return model, plan, levels
