"""Losses of one group narrower: those of a masked network in a plain loop; the model and the inputs stay."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import elastic
from elastic import models
from elastic.allocation import allocate_by_curves
from elastic.costs import CostModel
from elastic.errors import CurvesMismatch, DataError, PlanMismatch, TargetError
from elastic.masking import masked
from elastic.proofs import same_bits
from elastic.sensitivity import kl, measure_curves, narrowed_to

SHARES = (0.5, 0.25)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return models.build("elastic/digits_resnet").double()


@pytest.fixture(scope="module")
def plan(model):
    return elastic.trace(model, torch.zeros(1, 1, 8, 8, dtype=torch.float64))


@pytest.fixture(scope="module")
def scores(plan):
    return np.random.default_rng(0).permutation(plan.units).astype(float)


@pytest.fixture(scope="module")
def data():
    images = torch.randn(10, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return [images[:6], images[6:]]


@pytest.fixture(scope="module")
def curves(model, plan, scores, data):
    return measure_curves(model, plan, scores, data, widths=SHARES)


def plain_loss(model, plan, scores, images, number, width):
    """Mask the units with the lowest scores, and compare distributions with a formula of its own."""
    units = sorted(plan.groups[number].units.tolist(), key=lambda unit: scores[unit])
    levels = np.zeros(plan.units, np.uint8)
    levels[units[: len(units) - width]] = 1
    narrow = copy.deepcopy(model).eval()
    narrow.load_state_dict(masked(model.state_dict(), plan, levels))
    with torch.no_grad():
        p, q = F.softmax(copy.deepcopy(model).eval()(images), 1), F.softmax(narrow(images), 1)
    return float((p * (p / q).log()).sum(1).mean())


@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize("share", [*SHARES, 0.0])
def test_a_loss_is_that_of_the_masked_network(model, plan, scores, data, curves, number, share):
    width = narrowed_to(share, len(plan.groups[number].units))
    wanted = plain_loss(model, plan, scores, torch.cat(data), number, width)
    assert curves.losses[number][width] == pytest.approx(wanted, rel=1e-9, abs=1e-12)


def test_whole_widths_lose_nothing_and_one_unit_is_measured(plan, curves):
    for group, losses in zip(plan.groups, curves.losses, strict=True):
        assert losses[len(group.units)] == 0
        assert min(losses) == 1
    assert curves.names == tuple(group.name for group in plan.groups)


def test_the_model_stays_as_it_is_bit_for_bit(model, plan, scores):
    model = copy.deepcopy(model).float().train()
    before = copy.deepcopy(model.state_dict())
    measure_curves(model, plan, scores, [torch.randn(6, 1, 8, 8)], widths=(0.5,), recover=True)
    assert all(same_bits(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(module.training for module in model.modules())


def test_labels_are_not_looked_at(model, plan, scores, data, curves):
    labelled = [(images, torch.zeros(len(images), dtype=torch.int64)) for images in data]
    assert measure_curves(model, plan, scores, labelled, widths=SHARES).losses == curves.losses


def test_a_repair_brings_losses_down(model, plan, scores):
    model, images = copy.deepcopy(model).float(), [torch.randn(64, 1, 8, 8)]
    cut, fitted = (measure_curves(model, plan, scores, images, widths=(0.5,), recover=r) for r in (False, True))
    half = [len(group.units) // 2 for group in plan.groups]
    lost = [sum(c.losses[number][width] for number, width in enumerate(half)) for c in (cut, fitted)]
    assert lost[1] < 0.5 * lost[0]


def test_progress_counts_every_loss(model, plan, scores, data):
    told = []
    measure_curves(model, plan, scores, data, widths=(), progress=lambda *counts: told.append(counts))
    assert told == [(n + 1, len(plan.groups)) for n in range(len(plan.groups))]


def test_the_whole_network_is_run_once_for_each_batch(plan, scores, data, model):
    runs = []
    handle = model.register_forward_hook(lambda module, *_: runs.append(module is model))
    try:
        measure_curves(model, plan, scores, data, widths=())
    finally:
        handle.remove()
    assert sum(runs) == len(data)


def test_a_loss_of_one_s_own_decides(model, plan, scores, data):
    curves = measure_curves(model, plan, scores, data, widths=(), loss=lambda found, wanted: (found - found).sum() + 3)
    assert [losses[1] for losses in curves.losses] == [3] * len(plan.groups)


def test_a_loss_that_is_no_number_is_left_out_with_a_word(model, plan, scores, data, caplog):
    curves = measure_curves(model, plan, scores, data, widths=(), loss=lambda *_: torch.tensor(torch.nan))
    assert [list(losses) for losses in curves.losses] == [[len(group.units)] for group in plan.groups]
    assert "the loss of conv1 at 1 units is nan, and is left out" in caplog.text


def test_kl_of_many_positions_is_their_mean():
    logits = torch.randn(2, 2, 3, 4, 5)
    each = [kl(*logits[:, :, :, row, column]) for row in range(4) for column in range(5)]
    assert float(kl(*logits)) == pytest.approx(float(torch.stack(each).mean()))


@pytest.mark.parametrize("target", ["macs=50%", "params=30%", "macs=60%,params=50%"])
def test_curves_are_what_the_solver_takes(plan, curves, target):
    levels = allocate_by_curves(plan, curves.losses, curves.scores, target=target)
    costs = CostModel(plan)
    assert elastic.targets.parse_target(target).holds(costs.cost(levels == 0), costs.dense)


class Two(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return {"out": self.inner(x)}


REFUSED = {
    "a share of all": ({"widths": (1.0,)}, TargetError, "1.0 is no width to measure"),
    "a share of nothing": ({"widths": (0,)}, TargetError, "0 is no width to measure"),
    "no data": ({"data": []}, DataError, "not one batch"),
    "scores of another plan": ({"scores": np.zeros(3)}, PlanMismatch, r"scores of shape \[3\]"),
    "a loss of each sample": ({"loss": lambda found, _: found.sum(1)}, DataError, r"shape \[6\]; it should give one"),
}


@pytest.mark.parametrize(("changes", "error", "why"), REFUSED.values(), ids=REFUSED)
def test_what_can_not_be_measured_is_refused(model, plan, scores, data, changes, error, why):
    given = {"scores": scores, "data": data} | changes
    with pytest.raises(error, match=why):
        measure_curves(model, plan, given.pop("scores"), given.pop("data"), **given)


def test_outputs_that_are_no_logits_are_refused(model, data):
    wrapped = Two(model)
    plan = elastic.trace(wrapped, data[0][:1])
    with pytest.raises(DataError, match="the outputs are dict; give loss=function"):
        measure_curves(wrapped, plan, np.arange(plan.units), data)


def test_curves_of_other_weights_are_refused(model, plan, curves):
    other = copy.deepcopy(model)
    other.fc.bias.data[0] += 1
    with pytest.raises(CurvesMismatch, match="give the weights that were measured"):
        curves.check(other, plan)


def test_curves_of_another_plan_are_refused(model, data, curves):
    frozen = elastic.trace(model, data[0][:1], freeze=["conv1*"])
    with pytest.raises(CurvesMismatch, match="the curves are of 6 groups with 224 units, the plan has 5"):
        curves.check(model, frozen)
