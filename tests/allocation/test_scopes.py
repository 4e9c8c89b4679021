"""Who competes with whom: all, groups of one structure, each group alone, or widths fixed by name."""

import numpy as np
import pytest
import torch

from elastic import models
from elastic.allocation import Bounds, allocate, rank
from elastic.allocation.scopes import class_of_group
from elastic.costs import CostModel
from elastic.errors import TargetError, UnknownName
from elastic.tracing import trace


@pytest.fixture(scope="module")
def plan():
    torch.manual_seed(0)
    return trace(models.build("elastic/resnet20").eval(), torch.zeros(1, 3, 32, 32))


@pytest.fixture(scope="module")
def scores(plan):
    return np.random.default_rng(0).random(plan.units) * (1 + plan.group_of_unit)


def shares_lost(plan, stays, numbers):
    return [1 - float(stays[plan.groups[number].units].mean()) for number in numbers]


def test_inner_layers_of_all_blocks_are_of_one_class(plan):
    classes = class_of_group(plan, "isomorphic")
    inner = [number for number, group in enumerate(plan.groups) if group.name.endswith(".0.conv1")]
    inner += [number for number, group in enumerate(plan.groups) if group.name.endswith(".1.conv1")]
    assert len(inner) == 6
    assert len(set(classes[inner])) == 1


def test_streams_are_of_another_class_than_inner_layers(plan):
    classes = {
        group.name: int(number) for group, number in zip(plan.groups, class_of_group(plan, "isomorphic"), strict=True)
    }
    assert classes["conv1"] != classes["layer1.0.conv1"]


@pytest.mark.parametrize("scope", ["uniform", "isomorphic"])
def test_all_classes_lose_the_same_share(plan, scores, scope):
    classes = class_of_group(plan, scope)[plan.group_of_unit]
    leaves = rank(plan, scores, scope=scope)[: plan.units // 2]
    lost = np.bincount(classes[leaves], minlength=classes.max() + 1) / np.bincount(classes)
    assert np.ptp(lost) <= 1 / np.bincount(classes).min()


def test_groups_of_one_class_compete(plan, scores):
    stays = np.ones(plan.units, bool)
    stays[rank(plan, scores, scope="isomorphic", normalisation="none")[: plan.units // 2]] = False
    inner = [number for number, group in enumerate(plan.groups) if group.name.endswith(".conv1")]
    lost = shares_lost(plan, stays, inner)
    assert lost[0] > lost[-1]  # scores grow with the number of the group


def test_groups_named_lose_their_share_and_the_rest_competes(plan, scores):
    stays = allocate(plan, scores, target="macs=50%", scope={"layer1.*.conv1": 0.25, "layer3.0.conv1": 0}) == 0
    named = {group.name: number for number, group in enumerate(plan.groups)}
    fixed = [named[name] for name in ("layer1.0.conv1", "layer1.1.conv1", "layer1.2.conv1", "layer3.0.conv1")]
    assert shares_lost(plan, stays, fixed) == [0.25, 0.25, 0.25, 0]
    assert 0.495 < CostModel(plan).cost(stays).macs / CostModel(plan).dense.macs <= 0.5


@pytest.mark.parametrize("per", [None, "macs"])
def test_shares_are_the_same_at_every_level(plan, scores, per):
    levels = allocate(plan, scores, target=["macs=40%", "macs=60%"], scope={"layer2.*": 0.5}, per=per)
    numbers = [number for number, group in enumerate(plan.groups) if group.name.startswith("layer2.")]
    assert shares_lost(plan, levels == 0, numbers) == [0.5] * len(numbers) == shares_lost(plan, levels <= 1, numbers)


@pytest.mark.parametrize("bounds", [{"keep_at_least": 13}, {"round_to": 8}, {"keep_at_least": 0.8}], ids=str)
def test_bounds_hold_for_groups_named_too(plan, scores, bounds):
    stays = allocate(plan, scores, target="macs=90%", scope={"layer1.*": 0.7}, **bounds) == 0
    group = next(group for group in plan.groups if group.name == "layer1.0.conv1")
    assert stays[group.units].sum() == Bounds(**bounds).kept(group, 5)


def test_no_shares_are_the_global_scope(plan, scores):
    assert np.array_equal(
        allocate(plan, scores, target="macs=50%", scope={}), allocate(plan, scores, target="macs=50%")
    )


REFUSED = {
    "no such group": ({"layer9.*": 0.5}, UnknownName, "no group's name matches 'layer9.*'; there are .* more"),
    "two shares": ({"layer1.*": 0.5, "*conv1": 0.4}, TargetError, "matches layer1.*=0.5 and .conv1=0.4; name it once"),
    "all of it": ({"*": 1}, TargetError, "share .=1 is none"),
    "less than nothing": ({"*": -0.1}, TargetError, "share .=-0.1 is none"),
    "not a number": ({"*": float("nan")}, TargetError, "share .=nan is none"),
    "too little": (
        {"*": 0.1},
        TargetError,
        r"these shares by name: the least that is left is 8\d\.\d%, without them \d.\d%",
    ),
}


@pytest.mark.parametrize(("shares", "error", "why"), REFUSED.values(), ids=REFUSED)
def test_shares_that_make_no_sense_are_refused(plan, scores, shares, error, why):
    with pytest.raises(error, match=why):
        allocate(plan, scores, target="macs=50%", scope=shares)
