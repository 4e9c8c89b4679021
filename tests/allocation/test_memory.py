"""Targets of memory: what is held at once, predicted for any choice of units, and the order in which units leave."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from elastic import models
from elastic.allocation import allocate, allocate_by_curves, allocate_by_programme, least_cost
from elastic.allocation.sums import Sums
from elastic.costs import CostModel
from elastic.cutting import cut
from elastic.errors import NothingToPrune, TargetError
from elastic.fitting import fitted
from elastic.gates.channels.price import Price
from elastic.peaks import held, sums_while_held
from elastic.plan import Plan
from elastic.targets import parse_target
from elastic.tracing import trace
from tests.allocation.test_programme import best_of_all
from tests.strategies import networks_with_levels

EXAMPLE = torch.zeros(1, 3, 16, 16)


class Alive(TorchDispatchMode):
    """The most bytes of new tensors that are alive at once, as torch runs them."""

    def __init__(self, *known: torch.Tensor) -> None:
        super().__init__()
        self.known = {tensor.untyped_storage()._cdata for tensor in known}
        self.sizes, self.alive, self.most = {}, {}, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        self.alive = {key: ref for key, ref in self.alive.items() if not ref.expired()}
        for tensor in (t for t in torch.utils._pytree.tree_leaves(made) if isinstance(t, torch.Tensor)):
            storage = tensor.untyped_storage()
            if storage._cdata not in self.known:
                self.alive[storage._cdata] = StorageWeakRef(storage)
                self.sizes[storage._cdata] = storage.nbytes()
        self.most = max(self.most, sum(self.sizes[key] for key in self.alive))
        return made


def bytes_alive(model: nn.Module, example: torch.Tensor) -> int:
    """Return the bytes of the state and of the tensors that a run holds at most."""
    state = {tensor.untyped_storage()._cdata: tensor for tensor in model.state_dict().values()}
    with torch.no_grad(), Alive(example, *state.values()) as seen:
        model(example)
    return seen.most + sum(tensor.nbytes for tensor in state.values())


def funnel() -> nn.Module:
    """A network whose wide maps are at its beginning and whose weights are at its end."""
    return nn.Sequential(
        nn.Conv2d(3, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU(), nn.Conv2d(5, 6, 3, padding=1),
        nn.ReLU(inplace=True), nn.MaxPool2d(4), nn.Conv2d(6, 7, 3, padding=1),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(7, 4),
    ).eval()  # fmt: skip


@pytest.fixture(scope="module")
def plan() -> Plan:
    return trace(funnel(), EXAMPLE)


@st.composite
def lives(draw):
    """Return sizes of outputs, and until which each is held."""
    sizes = draw(st.lists(st.integers(0, 99), min_size=1, max_size=8))
    until = [draw(st.integers(number, len(sizes) - 1)) for number in range(len(sizes))]
    return np.array(sizes, np.int64), np.array(until, np.int64)


@given(lives())
def test_what_is_held_is_what_was_made_and_is_still_wanted(case):
    sizes, until = case
    plain = [sum(sizes[n] for n in range(now + 1) if until[n] >= now) for now in range(len(sizes))]
    assert held(sizes, until).tolist() == plain


@given(lives())
def test_an_output_has_the_sum_of_its_moments(case):
    numbers, until = case
    plain = [numbers[n : until[n] + 1].sum() for n in range(len(numbers))]
    assert sums_while_held(numbers.astype(float), until).tolist() == plain


@given(networks_with_levels())
def test_the_memory_of_any_cut_is_what_torch_holds(case):
    model, example, plan, levels = case
    small = fitted(model, cut(model.state_dict(), plan, levels, 1), plan.sizes(levels, 1))
    predicted = CostModel(plan).cost(levels <= 1)["memory"]
    # What names of a forward function keep longer than it reads them isn't predicted.
    assert predicted <= bytes_alive(small, example)


@pytest.mark.parametrize("name", ["torchvision/resnet18", "torchvision/mobilenet_v2", "torchvision/googlenet"])
def test_the_memory_of_real_networks_is_exact(name):
    model, example = models.build(name).eval(), torch.zeros(1, 3, 64, 64)
    plan = trace(model, example)
    levels = allocate(plan, np.random.default_rng(0).random(plan.units), target="memory=60%")
    for level, network in enumerate((fitted(model, cut(model.state_dict(), plan, levels, 0)), model)):
        assert CostModel(plan).cost(levels <= level)["memory"] == bytes_alive(network, example)


def test_the_memory_of_layers_in_a_row_is_exact(plan):
    assert CostModel(plan).dense["memory"] == bytes_alive(funnel(), EXAMPLE)


@given(networks_with_levels())
def test_the_cut_network_is_traced_to_the_memory_that_was_predicted(case):
    model, example, plan, levels = case
    small = fitted(model, cut(model.state_dict(), plan, levels, 1), plan.sizes(levels, 1))
    try:
        again = trace(small, example)
    except NothingToPrune as refusal:
        again = refusal.plan
    assert CostModel(again).dense["memory"] == CostModel(plan).cost(levels <= 1)["memory"]


@given(networks_with_levels())
def test_memory_in_arrays_is_the_cost_models(case):
    plan, stays = case[2], case[3] <= 1
    sums = Sums(plan)
    assert sums.total("memory", sums.lengths(stays)) == CostModel(plan).cost(stays)["memory"]


@pytest.mark.parametrize("share", [50, 65, 80, 95])
@pytest.mark.parametrize("per", [None, "memory"])
def test_a_target_is_kept_and_no_unit_more_would_fit(plan, share, per):
    target, costs = parse_target(f"memory={share}%"), CostModel(plan)
    stays = allocate(plan, np.random.default_rng(share).random(plan.units), target=target, per=per) == 0
    assert target.holds(costs.cost(stays), costs.dense)
    for unit in np.flatnonzero(~stays):
        assert not target.holds(costs.cost(stays | (np.arange(plan.units) == unit)), costs.dense)


@pytest.mark.parametrize(("choose", "most"), [(allocate, 1.05), (allocate_by_programme, 1.001)])
@pytest.mark.parametrize("share", [45, 60, 75, 90])
def test_by_what_is_saved_at_the_peak_little_more_is_lost_than_must_be(plan, share, choose, most):
    lost, best = 0.0, 0.0
    for seed in range(3):
        scores, target = 0.2 + np.random.default_rng(seed).random(plan.units), parse_target(f"memory={share}%")
        levels = choose(plan, scores, target=target, per="memory", normalisation="none")
        lost, best = lost + scores[levels > 0].sum(), best + best_of_all(plan, scores, target)
    assert lost <= most * best


def test_units_that_do_not_lower_the_peak_stay(plan):
    scores = np.ones(plan.units)
    last = next(group for group in plan.groups if group.name == "6")  # behind the pool: weights alone
    levels = allocate(plan, scores, target="memory=75%", per="memory")
    assert (levels[last.units] == 0).all()


def test_savings_are_those_of_all_moments_near_the_peak(plan):
    sums, stays = Sums(plan), np.ones(plan.units, bool)
    lengths = sums.lengths(stays).astype(np.float64)
    slopes = sums.memory.slopes(lengths)

    numbers, until, near = np.arange(len(plan.outputs)), sums.memory.until, sums.pace("memory")
    is_held = (numbers <= numbers[:, None]) & (until >= numbers[:, None])  # [moments, outputs]

    def smooth(lengths):
        exponents = is_held @ sums.memory.outputs.terms(lengths) / near
        most = exponents.max()
        return sums.memory.state.terms(lengths).sum() + near * (most + np.log(np.exp(exponents - most).sum()))

    for axis in range(len(lengths) - 1):
        more, less = lengths.copy(), lengths.copy()
        more[axis], less[axis] = lengths[axis] + 1e-4, lengths[axis] - 1e-4
        assert slopes[axis] == pytest.approx((smooth(more) - smooth(less)) / 2e-4, rel=1e-4)


@settings(max_examples=15)
@given(st.integers(45, 95), st.integers(45, 95), st.integers(0, 2**32 - 1), st.sampled_from([1, 2]))
def test_memory_is_a_limit_beside_others(plan, memory, macs, seed, step):
    target, costs = parse_target(f"memory={memory}%,macs={macs}%"), CostModel(plan)
    assume(target.holds(least_cost(plan, round_to=step), costs.dense))
    scores = np.random.default_rng(seed).random(plan.units)
    levels = allocate(plan, scores, target=[target, "size=90%"], per="memory", round_to=step)
    assert target.holds(costs.cost(levels == 0), costs.dense) or target.holds(costs.cost(levels <= 1), costs.dense)


def test_curves_keep_a_target_of_memory(plan):
    curves = [{len(g.units): 0.0, len(g.units) // 2: 0.1 * (1 + n), 1: 1.0} for n, g in enumerate(plan.groups)]
    levels, costs = allocate_by_curves(plan, curves, np.arange(plan.units), target="memory=60%"), CostModel(plan)
    assert parse_target("memory=60%").holds(costs.cost(levels == 0), costs.dense)


def test_a_target_that_can_not_be_reached_is_refused(plan):
    with pytest.raises(TargetError, match=r"target memory=0.1% cannot be reached: the least this model can keep is"):
        allocate(plan, np.ones(plan.units), target="memory=0.1%")


def test_a_plan_without_the_forward_pass_has_no_memory(plan):
    bare = Plan(plan.axes, plan.tensors, plan.operations)
    assert CostModel(bare).dense.peak_bytes is None
    with pytest.raises(TargetError, match="a target of memory needs a record of what a forward pass holds"):
        allocate(bare, np.ones(plan.units), target="memory=50%")


def test_gates_have_no_price_of_memory(plan):
    with pytest.raises(TargetError, match="gates have no price of memory"):
        Price(plan, "memory")
