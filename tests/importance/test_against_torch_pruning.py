"""The library's own scores: equal where it is right, and where it is not, different by its fault and nothing else."""

import numpy as np
import pytest
import torch.nn.functional as F
import torch_pruning as tp
from torch_pruning.pruner.importance import ActivationImportance, FPGMImportance

from elastic.importance import Activation, Obd, Taylor, score
from elastic.importance.reduction import reduce_over_units
from tests.importance import plain

AGREEING = ("chain", "residual", "projected_residual", "concatenation", "dense_block", "layer_norm_channels_last")
AS_OURS = {"group_reduction": "sum", "normalizer": None}


def theirs(name, model, plan, importance):
    """Their scores at our units; not-a-number where they have none."""
    found = np.full(plan.units, np.nan)
    names = {module: path for path, module in model.named_modules()}
    example = plain.WIRINGS[name].example()
    graph = tp.DependencyGraph().build_dependency(model, example.double())
    for group in graph.get_all_groups():
        units = plan.axes.get((f"{names[group[0].dep.target.module]}.weight", 0))
        if units is not None and (scores := importance(group)) is not None:
            found[units] = scores.detach().numpy()
    return found


def backward(model, inputs, labels):
    model.zero_grad()
    F.cross_entropy(model(inputs), labels).backward()


def squares(model, leave_out=()):
    named = plain.weights(model).items()
    return {name: weight.detach().square() for name, weight in named if name not in leave_out}


@pytest.mark.parametrize("name", AGREEING)
def test_magnitude_agrees(name):
    model, plan = plain.network(name)
    expected = theirs(name, model, plan, tp.importance.GroupMagnitudeImportance(**AS_OURS))
    is_known = ~np.isnan(expected)
    assert is_known.any()
    np.testing.assert_allclose(score(model, plan)[is_known], expected[is_known], rtol=1e-5)


def test_lamp_agrees_where_the_library_ranks_the_same_units():
    model, plan = plain.network("chain")
    expected = theirs("chain", model, plan, tp.importance.LAMPImportance(group_reduction="sum"))
    np.testing.assert_allclose(score(model, plan, "lamp"), expected, rtol=1e-5)


def test_norm_scale_agrees_on_units_with_a_norm():
    model, plan = plain.network("chain")
    units = plan.axes["norm.weight", 0]
    expected = theirs("chain", model, plan, tp.importance.BNScaleImportance(**AS_OURS))
    np.testing.assert_allclose(score(model, plan, "norm-scale")[units], expected[units], rtol=1e-5)


def test_fpgm_agrees_on_weights_without_a_sign():
    model, plan = plain.network("residual")
    for weight in plain.weights(model).values():
        weight.data.abs_()
    expected = theirs("residual", model, plan, FPGMImportance(p=1, **AS_OURS))
    np.testing.assert_allclose(score(model, plan, "fpgm"), expected, rtol=1e-5)


def test_fpgm_differs_on_others_since_theirs_measures_between_squared_weights():
    model, plan = plain.network("residual")
    expected = theirs("residual", model, plan, FPGMImportance(**AS_OURS))
    assert not np.allclose(score(model, plan, "fpgm"), expected, rtol=0.1)
    for weight in plain.weights(model).values():
        weight.data.square_()
    np.testing.assert_allclose(score(model, plan, "fpgm"), expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["residual", "layer_norm_channels_last"])
def test_taylor_agrees_without_batch_norms(name):
    model, plan = plain.network(name)
    ((inputs, labels),) = data = plain.data_for(model, sizes=(6,))
    backward(model, inputs, labels)
    expected = theirs(name, model, plan, tp.importance.GroupTaylorImportance(**AS_OURS))
    np.testing.assert_allclose(Taylor(data)(model, plan), expected, rtol=1e-5)


def test_hessian_agrees_with_twice_ours_on_one_sample():
    model, plan = plain.network("chain")
    data = plain.data_for(model, sizes=(1,))
    expected = theirs_hessian(model, plan, data)
    np.testing.assert_allclose(2 * Obd(data)(model, plan), expected, rtol=1e-5)


def test_activation_agrees_on_one_batch_for_convolutions():
    model, plan = plain.network("projected_residual")
    ((inputs, _),) = data = plain.data_for(model, sizes=(4,))
    units = plan.axes["b.weight", 1]
    np.testing.assert_allclose(
        Activation(data)(model, plan)[units], theirs_activation("projected_residual", model, plan, [inputs])[units]
    )


def theirs_hessian(model, plan, data):
    importance = tp.importance.GroupHessianImportance(**AS_OURS)
    importance.zero_grad()
    for inputs, labels in data:
        for number in range(len(labels)):
            backward(model, inputs[number : number + 1], labels[number : number + 1])
            importance.accumulate_grad(model)
    return theirs("chain", model, plan, importance)


def theirs_activation(name, model, plan, batches):
    importance = ActivationImportance(**AS_OURS)
    with importance.compute_importance(model):
        for inputs in batches:
            model(inputs)
    return theirs(name, model, plan, importance)


def test_magnitude_differs_since_theirs_does_not_see_depthwise_weights():
    model, plan = plain.network("depthwise")
    expected = theirs("depthwise", model, plan, tp.importance.GroupMagnitudeImportance(**AS_OURS))
    assert not np.allclose(score(model, plan), expected, rtol=0.01)
    np.testing.assert_allclose(reduce_over_units(squares(model, ["dw.weight"]), plan), expected, rtol=1e-5)


def test_taylor_differs_since_theirs_does_not_see_norms():
    model, plan = plain.network("chain")
    ((inputs, labels),) = data = plain.data_for(model, sizes=(6,))
    backward(model, inputs, labels)
    expected = theirs("chain", model, plan, tp.importance.GroupTaylorImportance(**AS_OURS))
    units = plan.axes["norm.weight", 0]
    assert (Taylor(data)(model, plan) > expected * 1.001)[units].any()
    seen = {name: (weight * weight.grad).detach().abs() for name, weight in plain.weights(model).items()}
    seen.pop("norm.weight")
    np.testing.assert_allclose(reduce_over_units(seen, plan), expected, rtol=1e-5)


def test_hessian_differs_since_theirs_keeps_the_last_sample_over_all_others():
    model, plan = plain.network("chain")
    data = plain.data_for(model, sizes=(4, 3))
    expected = theirs_hessian(model, plan, data)
    assert not np.allclose(2 * Obd(data)(model, plan), expected, rtol=0.1)
    last = [(data[-1][0][-1:], data[-1][1][-1:])]
    np.testing.assert_allclose(2 * Obd(last)(model, plan), expected, rtol=1e-5)


def test_activation_differs_since_theirs_keeps_the_last_batch():
    model, plan = plain.network("projected_residual")
    data = plain.data_for(model, sizes=(4, 3))
    units = plan.axes["b.weight", 1]
    expected = theirs_activation("projected_residual", model, plan, [inputs for inputs, _ in data])[units]
    assert not np.allclose(Activation(data)(model, plan)[units], expected, rtol=0.001)
    np.testing.assert_allclose(Activation(data[-1:])(model, plan)[units], expected)


def test_activation_differs_since_theirs_adds_up_samples_before_linear_layers():
    model, plan = plain.network("chain")
    ((inputs, _),) = data = plain.data_for(model, sizes=(4,))
    units = plan.axes["head.weight", 1]
    expected = theirs_activation("chain", model, plan, [inputs])[units]
    np.testing.assert_allclose(4 * Activation(data)(model, plan)[units], expected)
