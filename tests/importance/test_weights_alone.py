"""Criteria that look at nothing but weights, against loops written from their formulas."""

import numpy as np
import pytest
import torch

from elastic.errors import DataError, PlanMismatch
from elastic.importance import score
from tests.importance import plain


def test_norm_scale_is_the_sum_of_the_norms_gammas():
    model, plan = plain.network("chain")
    gammas = plain.over_units({"norm.weight": model.norm.weight.abs()}, plan)
    has_norm = gammas > 0
    np.testing.assert_allclose(score(model, plan, "norm-scale")[has_norm], gammas[has_norm], rtol=1e-12)


def test_units_without_a_norm_stand_on_average_where_those_with_one_stand():
    model, plan = plain.network("chain")
    found = score(model, plan, "norm-scale")
    without, of_norm = plan.axes["b.weight", 0], plan.axes["norm.weight", 0]
    assert found[without].mean() == pytest.approx(found[of_norm].mean())
    sizes = plain.over_units({k: w.detach().square() for k, w in plain.weights(model).items()}, plan)[without]
    assert (np.argsort(found[without]) == np.argsort(sizes)).all()


def test_the_slope_of_a_prelu_is_no_norm():
    model, plan = plain.network("prelu_per_channel")
    units = plan.axes["prelu.weight", 0]
    model.prelu.weight.data[:] = 1e-9
    assert score(model, plan, "norm-scale")[units].mean() == pytest.approx(1)  # no norm at all: they stand at 1


def test_lamp_is_the_share_of_a_unit_in_all_that_would_outlive_it():
    model, plan = plain.network("residual")
    sizes = plain.over_units({k: w.detach().square() for k, w in plain.weights(model).items()}, plan)
    expected = np.zeros(plan.units)
    for group in plan.groups:
        for unit in group.units:
            expected[unit] = sizes[unit] / sum(sizes[other] for other in group.units if sizes[other] >= sizes[unit])
    np.testing.assert_allclose(score(model, plan, "lamp"), expected, rtol=1e-12)


def test_the_largest_unit_of_each_group_has_the_lamp_score_one():
    model, plan = plain.network("dense_block")
    found = score(model, plan, "lamp")
    assert [found[group.units].max() for group in plan.groups] == pytest.approx([1.0] * len(plan.groups))


@pytest.mark.parametrize("name", ["residual", "flattened", "grouped", "concatenated_with_itself"])
def test_fpgm_is_the_sum_of_distances_to_all_other_slices(name):
    model, plan = plain.network(name)
    expected = np.zeros(plan.units)
    for (key, axis), labels in plan.axes.items():
        weight = dict(model.named_parameters())[key].detach()
        if weight.dim() == 1:
            continue
        slices = {u: weight.index_select(axis, torch.tensor(np.flatnonzero(labels == u))) for u in set(labels) - {-1}}
        for unit, own in slices.items():
            expected[unit] += sum((own - other).norm().item() for other in slices.values())
    np.testing.assert_allclose(score(model, plan, "fpgm"), expected, rtol=1e-9)


def test_fpgm_gives_a_filter_in_the_middle_of_the_others_the_least():
    model, plan = plain.network("chain")
    model.b.weight.data[3] = model.b.weight.data.mean(0)
    model.head.weight.data[:] = 1.0
    assert np.argmin(score(model, plan, "fpgm")[plan.axes["b.weight", 0]]) == 3


def test_gates_are_scores_by_their_size():
    model, plan = plain.small()
    assert score(model, plan, "gates", gates=torch.tensor([0.5, -2.0, 0.0])).tolist() == [0.5, 2.0, 0.0]


def test_gates_that_are_not_one_for_each_unit_are_refused():
    model, plan = plain.small()
    with pytest.raises(PlanMismatch, match=r"gates of shape \[2\] for 3 units"):
        score(model, plan, "gates", gates=torch.ones(2))


def test_gates_that_are_missing_are_asked_for():
    model, plan = plain.small()
    with pytest.raises(DataError, match="needs gates"):
        score(model, plan, "gates")
