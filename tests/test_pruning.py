"""The one verb: the model stays, the levels are what they cost, the same seed gives the same choice."""

import copy
import time

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import elastic
from elastic import models
from elastic.allocation import allocate_by_curves
from elastic.costs import Cost
from elastic.errors import (
    DataError,
    LatencyMismatch,
    NothingToPrune,
    PlanMismatch,
    TargetError,
    TraceError,
    UnknownName,
)
from elastic.latency import profile
from elastic.proofs import same_bits
from elastic.targets import parse_target

EXAMPLE = torch.zeros(1, 1, 8, 8)
TARGETS = ["macs=25%", "macs=50%"]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return models.build("elastic/digits_resnet")


@pytest.fixture(scope="module")
def pruned(model):
    return elastic.prune(model, EXAMPLE, target=TARGETS)


def test_the_model_stays_as_it_is_bit_for_bit(model):
    model.train()
    before, versions = copy.deepcopy(model.state_dict()), [tensor._version for tensor in model.parameters()]
    pruned = elastic.prune(model, EXAMPLE, target=TARGETS)
    pruned.level(0)(EXAMPLE)
    assert all(same_bits(before[name], tensor) for name, tensor in model.state_dict().items())
    assert [tensor._version for tensor in model.parameters()] == versions
    assert all(module.training for module in model.modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_level_costs_what_is_said(pruned, level):
    network = pruned.level(level).eval()
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        network(EXAMPLE)
    cost = pruned.cost(level)
    assert cost.macs == counter.get_total_flops() // 2
    assert cost.params == sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_level_shares_no_weights_with_the_model(pruned, model, level):
    own = {tensor.data_ptr() for tensor in pruned.level(level).state_dict().values()}
    assert not own & {tensor.data_ptr() for tensor in model.state_dict().values()}


def test_the_largest_level_is_the_model(pruned, model):
    largest = pruned.level(2).state_dict()
    assert all(same_bits(largest[name], tensor) for name, tensor in model.state_dict().items())


def test_the_smallest_level_is_the_pruned_model(pruned):
    smallest = pruned.level(0).state_dict()
    assert all(same_bits(smallest[name], tensor) for name, tensor in pruned.model.state_dict().items())


def test_levels_are_named_after_their_targets(pruned):
    assert pruned.names == ("macs=25%", "macs=50%", "full")


@pytest.mark.parametrize("target", ["macs=50%", parse_target("macs=50%"), ["macs=50%"], ("macs=50%",)], ids=repr)
def test_a_target_is_given_as_text_or_parsed_or_in_a_list(model, target):
    assert elastic.prune(model, EXAMPLE, target=target).names == ("macs=50%", "full")


def test_costs_grow_with_the_level(pruned):
    costs = [pruned.cost(level) for level in range(3)]
    assert isinstance(costs[0], Cost)
    assert costs == sorted(costs, key=lambda cost: (cost.params, cost.macs, cost.bytes))


@pytest.mark.parametrize("criterion", ["magnitude", "magnitude-l1", "random"])
def test_the_same_seed_gives_the_same_levels(model, criterion):
    one, other = (elastic.prune(model, EXAMPLE, target="macs=50%", criterion=criterion, seed=5) for _ in range(2))
    assert np.array_equal(one.levels, other.levels)


def test_another_seed_gives_other_random_levels(model):
    one, other = (elastic.prune(model, EXAMPLE, target="macs=50%", criterion="random", seed=s) for s in (0, 1))
    assert not np.array_equal(one.levels, other.levels)


def test_a_criterion_of_one_s_own_decides(model):
    def last_stay(model, plan):
        return np.arange(plan.units, dtype=np.float64)

    pruned = elastic.prune(model, EXAMPLE, target="macs=50%", criterion=last_stay, scope="uniform")
    for group in pruned.plan.groups:
        kept = group.units[pruned.levels[group.units] == 0]
        assert kept.tolist() == group.units[-len(kept) :].tolist()


def test_the_recipe_says_how_the_levels_came_to_be(model):
    pruned = elastic.prune(model, EXAMPLE, target="macs=50%", criterion="random", seed=7, freeze=["layer1.*"])
    assert pruned.recipe == {
        "criterion": "random", "reduction": "sum", "targets": ["macs=50%"],
        "normalisation": "mean", "scope": "global", "per": "unit", "solver": "greedy",
        "keep_at_least": 1, "round_to": 1,
        "freeze": ["layer1.*"], "engine": "elastic", "seed": 7,
    }  # fmt: skip


def test_the_engine_is_what_traces_and_is_in_the_recipe(model):
    pruned = elastic.prune(model, EXAMPLE, target="macs=50%", engine="torch-pruning")
    assert pruned.recipe["engine"] == "torch-pruning"
    assert not pruned.plan.layers


REFUSED = {
    "a target that can't be read": ({"target": "macs=lots"}, TargetError, "can't read 'lots'"),
    "a target out of reach": ({"target": "params=3"}, TargetError, "the least this model can keep is"),
    "an unknown criterion": ({"criterion": "taylr"}, UnknownName, "unknown criterion 'taylr'; known: magnitude"),
    "an unknown scope": ({"scope": "local"}, UnknownName, "unknown scope 'local'; known: global"),
    "an unknown normalisation": ({"normalisation": "l2"}, UnknownName, "unknown normalisation 'l2'; known: none, mean"),
    "an unknown quantity": ({"per": "flops"}, UnknownName, "unknown per='flops'; known: unit, macs, params, size"),
    "a share of no group": ({"scope": {"layer9*": 0.5}}, UnknownName, "no group's name matches 'layer9"),
    "a share of more than all": ({"scope": {"*": 1.0}}, TargetError, "share .=1 is none"),
    "shares that leave too much": ({"scope": {"*": 0.1}}, TargetError, "cannot be reached with these shares by name"),
    "an unknown engine": ({"engine": "fx"}, UnknownName, "unknown engine 'fx'; known: elastic, torch-pruning"),
    "a pattern of no layer": ({"freeze": ["layer9"]}, UnknownName, "layer9"),
    "gates beside a criterion": (
        {"gates": np.ones(3), "criterion": "taylor"},
        UnknownName,
        "gates were given beside criterion='taylor'",
    ),
    "gates of another number": ({"gates": np.ones(3)}, PlanMismatch, r"gates of shape \[3\] for"),
    "everything frozen": ({"freeze": ["*"]}, NothingToPrune, "nothing in Sequential can be pruned"),
    "an input that doesn't fit": ({"example": torch.zeros(1, 3, 8, 8)}, TraceError, "check the example input"),
}


@pytest.mark.parametrize(("options", "error", "why"), REFUSED.values(), ids=REFUSED)
def test_what_can_not_be_done_is_refused(model, options, error, why):
    with pytest.raises(error, match=why):
        elastic.prune(model, **{"example": EXAMPLE, "target": "macs=50%"} | options)


def test_gates_decide_which_units_stay(model):
    plan = elastic.trace(model, EXAMPLE)
    gates = torch.linspace(1, 0, plan.units)
    pruned = elastic.prune(model, EXAMPLE, target="macs=50%", gates=gates)
    assert (pruned.recipe["criterion"], pruned.recipe["normalisation"]) == ("gates", "none")
    for group in plan.groups:
        assert (np.diff(pruned.levels[group.units].astype(int)) >= 0).all()  # the first of each group stay


def test_gates_of_another_network_are_refused(model, tmp_path):
    other = models.build("elastic/resnet20")
    elastic.prune(other, torch.zeros(1, 3, 32, 32), target="macs=50%").save(tmp_path / "n.safetensors")
    with pytest.raises(PlanMismatch, match=r"n.safetensors has \d+ units .* of another network"):
        elastic.prune(model, EXAMPLE, target="macs=50%", gates=tmp_path / "n.safetensors")


def test_with_data_units_are_ranked_by_energy_and_the_network_is_repaired(model):
    images = torch.randn(6, *EXAMPLE.shape[1:], generator=torch.Generator().manual_seed(0))
    pruned = elastic.prune(model, EXAMPLE, target="params=50%", data=[images])
    found = {name: pruned.recipe.get(name) for name in ("criterion", "normalisation", "per", "recovered_on")}
    assert found == {"criterion": "energy", "normalisation": "none", "per": "params", "recovered_on": 6}
    assert elastic.prune(model, EXAMPLE, target="params=50%", data=[images], recover=False).tuned == {}


def test_without_data_units_are_ranked_by_magnitude(model):
    recipe = elastic.prune(model, EXAMPLE, target="macs=50%").recipe
    found = {name: recipe.get(name) for name in ("criterion", "normalisation", "per", "hessian", "recovered_on")}
    assert found == {
        "criterion": "magnitude", "normalisation": "mean", "per": "unit", "hessian": None, "recovered_on": None
    }  # fmt: skip


def test_inputs_that_no_repair_takes_are_said_to_be_left(model, caplog):
    images = torch.randn(6, *EXAMPLE.shape[1:], generator=torch.Generator().manual_seed(0))
    data = [((images,), torch.zeros(6, dtype=torch.int64))]
    pruned = elastic.prune(model, EXAMPLE, target="macs=50%", data=data, criterion="taylor")
    assert pruned.tuned == {}
    assert "not repaired: a repair takes batches of one tensor each" in caplog.text
    with pytest.raises(DataError, match="takes batches of one tensor each"):
        elastic.prune(model, EXAMPLE, target="macs=50%", data=data, recover=True)


def test_progress_of_a_repair_goes_on_from_level_to_level(model):
    images, seen = torch.randn(6, *EXAMPLE.shape[1:]), []
    elastic.prune(model, EXAMPLE, target=TARGETS).recovered(images, progress=lambda *at: seen.append(at))
    done, whole = zip(*seen, strict=True)
    assert list(done) == sorted(set(done))
    assert set(whole) == {done[-1]}


def test_with_curves_the_widths_are_those_of_the_solver(model, tmp_path):
    plan = elastic.trace(model, EXAMPLE)
    scores = elastic.score(model, plan, "lamp")
    path = tmp_path / "curves.jsonl"
    curves = elastic.measure_curves(model, plan, scores, [torch.randn(4, 1, 8, 8)], widths=(0.5,), path=path)
    wanted = allocate_by_curves(plan, curves.losses, scores, target=TARGETS, keep_at_least=2)
    for given in (curves, path):
        pruned = elastic.prune(model, EXAMPLE, target=TARGETS[::-1], curves=given, keep_at_least=2)
        assert np.array_equal(pruned.levels, wanted)
        assert pruned.names == ("macs=25%", "macs=50%", "full")
        assert np.array_equal(pruned.scores, scores)


@pytest.fixture(scope="module")
def table(model):
    images = EXAMPLE.repeat(64, 1, 1, 1)  # of one image the time is that of Python
    return profile(model, images, threads=1, points=8, checks=0, runs=5, clock=time.thread_time)


@pytest.mark.parametrize("solver", ["greedy", "milp"])
def test_a_target_of_time_is_measured_beside_the_whole_network(model, table, timed_shortly, solver):
    pruned = elastic.prune(model, EXAMPLE, target=["latency=80%", "macs=20%"], latency_table=table, solver=solver)
    by_target = dict(zip(map(str, pruned.targets), pruned.held, strict=True))
    assert by_target["macs=20%"] is None
    held = by_target["latency=80%"]
    assert held.seconds > 0
    assert held.asked == pytest.approx(0.8 * held.whole)
    told = pruned.recipe["latency"]
    assert (told["runtime"], told["threads"], told["batch"]) == ("eager", 1, 64)
    assert [each["target"] for each in told["measured"]] == ["latency=80%"]


@pytest.mark.parametrize(
    ("options", "solver"),
    [
        ({}, "milp"),
        ({"criterion": "taylor"}, "milp"),
        ({"scope": "global", "per": "latency"}, "milp"),
        ({"solver": "greedy"}, "greedy"),
        ({"criterion": "magnitude"}, "greedy"),  # no loss: whole layers would be emptied
        ({"scope": "uniform"}, "greedy"),
        ({"per": "macs"}, "greedy"),
        ({"target": "macs=50%"}, "greedy"),
    ],
)
def test_a_target_of_time_is_for_the_programmes_where_scores_are_losses(model, table, timed_shortly, options, solver):
    images = [(torch.randn(8, *EXAMPLE.shape[1:]), torch.arange(8) % 10)]
    asked = {"target": "latency=80%", "latency_table": table, "data": images, "recover": False, **options}
    assert elastic.prune(model, EXAMPLE, **asked).recipe["solver"] == solver


def test_a_table_of_another_shape_is_refused(model, table):
    other = torch.zeros(1, 1, 12, 12)
    with pytest.raises(LatencyMismatch, match=r"inputs of shape \[64, 1, 8, 8\], the example is \[1, 1, 12, 12\]"):
        elastic.prune(model, other, target="latency=80%", latency_table=table)


def test_curves_choose_widths_themselves(model):
    with pytest.raises(UnknownName, match="solver='milp' means nothing with curves"):
        elastic.prune(model, EXAMPLE, target="macs=50%", curves="none.jsonl", solver="milp")
