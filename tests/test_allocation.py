"""Allocation: targets hold, nothing more would have fitted, bounds are kept, levels nest."""

import copy
import functools

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from elastic import models
from elastic.allocation import Bounds, allocate, allocate_by_programme, least_cost, rank, smallest_first
from elastic.costs import CostModel
from elastic.errors import InvalidWeights, NothingToPrune, PlanMismatch, TargetError, UnknownName
from elastic.importance import score
from elastic.plan import Group, Plan
from elastic.targets import parse_target
from elastic.tracing import trace
from tests.networks import chain, dense_block, depthwise, grouped, projected_residual, residual, transposed_grouped
from tests.strategies import networks

NAMES = ["elastic/resnet20", "elastic/resnet8p", "elastic/vgg6_bn"]


@pytest.fixture(scope="module", params=NAMES)
def scored(request: pytest.FixtureRequest) -> tuple[Plan, np.ndarray]:
    torch.manual_seed(0)
    model = models.build(request.param).eval()
    plan = trace(model, torch.randn(1, 3, 32, 32), probe=False)
    return plan, score(model, plan)


@pytest.fixture(scope="module")
def plan_and_scores() -> tuple[Plan, np.ndarray]:
    torch.manual_seed(0)
    model = models.build("elastic/resnet8p").eval()
    plan = trace(model, torch.randn(1, 3, 32, 32), probe=False)
    return plan, score(model, plan)


TARGETS = ["macs=50%", "macs=25%", "params=40%", "size=60%", "macs=70%,params=50%", "macs=95%"]


@pytest.mark.parametrize("target", TARGETS)
def test_the_cost_never_exceeds_the_target(scored, target: str) -> None:
    plan, scores = scored
    costs = CostModel(plan)
    assert parse_target(target).holds(costs.cost(allocate(plan, scores, target=target) == 0), costs.dense)


@pytest.mark.parametrize("target", TARGETS)
def test_no_unit_that_left_would_still_fit(scored, target: str) -> None:
    plan, scores = scored
    costs, stays = CostModel(plan), allocate(plan, scores, target=target) == 0
    for group in plan.groups:
        gone = group.units[~stays[group.units]]
        if len(gone):
            more = stays.copy()
            more[gone[0]] = True
            assert not parse_target(target).holds(costs.cost(more), costs.dense), group.name


@pytest.mark.parametrize("scope", ["global", "uniform"])
def test_half_of_the_macs_means_half_within_half_a_percent(scored, scope) -> None:
    plan, scores = scored
    costs = CostModel(plan)
    reached = costs.cost(allocate(plan, scores, target="macs=50%", scope=scope) == 0).macs / costs.dense.macs
    assert 0.495 <= reached <= 0.5


def test_levels_nest_and_each_keeps_its_target(scored) -> None:
    plan, scores = scored
    costs = CostModel(plan)
    levels = allocate(plan, scores, target=["macs=75%", "macs=25%", "macs=50%"])
    shares = [costs.cost(levels <= level).macs / costs.dense.macs for level in range(4)]
    assert [share <= limit for share, limit in zip(shares, (0.25, 0.5, 0.75, 1), strict=True)] == [True] * 4


def test_every_level_keeps_something_of_every_group(scored) -> None:
    plan, scores = scored
    levels = allocate(plan, scores, target="macs=10%")
    assert all((levels[group.units] == 0).any() for group in plan.groups)


@pytest.mark.parametrize("solve", [allocate, allocate_by_programme])
@pytest.mark.parametrize("targets", [("macs=80%", "macs=40%"), ("macs=70%", "params=30%"), ("params=30%", "macs=70%")])
def test_levels_have_the_targets_that_they_are_given_in_order(plan_and_scores, solve, targets) -> None:
    plan, scores = plan_and_scores
    levels, costs = solve(plan, scores, target=targets, is_ordered=True), CostModel(plan)
    for level, target in enumerate(targets):
        assert parse_target(target).holds(costs.cost(levels <= level), costs.dense)


def test_targets_are_put_in_the_order_of_their_levels(plan_and_scores) -> None:
    wanted = [parse_target(text) for text in ("params=90%", "macs=25%", "size=50%")]
    assert [str(t) for t in smallest_first(*plan_and_scores, wanted)] == ["macs=25%", "size=50%", "params=90%"]


@pytest.mark.parametrize("multiple", [2, 4, 8])
def test_widths_are_multiples_where_they_are_asked_to_be(scored, multiple: int) -> None:
    plan, scores = scored
    levels = allocate(plan, scores, target="macs=50%", round_to=multiple)
    widths = [int((levels[group.units] == 0).sum()) * group.positions_per_unit for group in plan.groups]
    assert [width % multiple for width in widths] == [0] * len(widths)


@pytest.mark.parametrize(("least", "channels"), [(5, 5), (0.3, None)], ids=["channels", "share"])
def test_every_group_keeps_at_least_what_was_asked(scored, least: float, channels: int | None) -> None:
    plan, scores = scored
    levels = allocate(plan, scores, target="macs=60%", keep_at_least=least)
    for group in plan.groups:
        wanted = channels if channels else least * len(group.units)
        assert (levels[group.units] == 0).sum() >= wanted


def test_equal_scores_do_not_overshoot(plan_and_scores) -> None:
    plan, _ = plan_and_scores
    costs = CostModel(plan)
    reached = costs.cost(allocate(plan, np.ones(plan.units), target="macs=50%") == 0).macs / costs.dense.macs
    assert 0.49 <= reached <= 0.5


def test_uniform_scope_takes_the_same_share_of_every_group(plan_and_scores) -> None:
    plan, scores = plan_and_scores
    levels = allocate(plan, scores, target="macs=30%", scope="uniform")
    shares = [float((levels[group.units] == 0).mean()) for group in plan.groups]
    assert max(shares) - min(shares) <= 2 / min(len(group.units) for group in plan.groups)


def test_units_with_the_least_scores_leave_first_within_a_group(plan_and_scores) -> None:
    plan, scores = plan_and_scores
    levels = allocate(plan, scores, target="macs=50%")
    for group in plan.groups:
        stay, leave = scores[group.units][levels[group.units] == 0], scores[group.units][levels[group.units] == 1]
        assert not len(leave) or stay.min() >= leave.max()


def test_an_impossible_target_names_the_least_that_can_be_reached(plan_and_scores) -> None:
    plan, scores = plan_and_scores
    share = least_cost(plan).macs / CostModel(plan).dense.macs
    with pytest.raises(TargetError, match=f"the least this model can keep is {share:.1%}"):
        allocate(plan, scores, target="macs=0.0001%")


def test_bounds_raise_the_least(plan_and_scores) -> None:
    plan, scores = plan_and_scores
    with pytest.raises(TargetError, match="cannot be reached"):
        allocate(plan, scores, target="macs=50%", keep_at_least=0.99)


@pytest.mark.parametrize(
    ("bounds", "claim"),
    [
        ({"keep_at_least": 0}, "is no width"),
        ({"keep_at_least": float("nan")}, "is no width"),
        ({"round_to": 0}, "no multiple"),
    ],
    ids=["nothing", "nan", "zero"],
)
def test_bounds_that_make_no_sense_are_refused(plan_and_scores, bounds, claim: str) -> None:
    with pytest.raises(TargetError, match=claim):
        allocate(*plan_and_scores, target="macs=50%", **bounds)


def test_scores_that_are_not_numbers_are_refused(plan_and_scores) -> None:
    plan, scores = plan_and_scores
    with pytest.raises(InvalidWeights, match=r"unit 3 in .* is nan"):
        allocate(plan, np.where(np.arange(plan.units) == 3, np.nan, scores), target="macs=50%")


def test_scores_of_another_plan_are_refused(plan_and_scores) -> None:
    plan, _ = plan_and_scores
    with pytest.raises(PlanMismatch, match="give one each"):
        allocate(plan, np.ones(3), target="macs=50%")


def test_an_unknown_scope_is_refused(plan_and_scores) -> None:
    with pytest.raises(UnknownName, match="known: global, uniform"):
        allocate(*plan_and_scores, target="macs=50%", scope="glboal")


def test_frozen_layers_keep_their_width() -> None:
    model = models.build("elastic/resnet20").eval()
    plan = trace(model, torch.randn(1, 3, 32, 32), freeze=["layer2.*"], probe=False)
    assert not any(name.startswith("layer2.") and axis == 0 for name, axis in plan.axes)


def test_a_plan_in_which_nothing_can_leave_is_refused() -> None:
    with pytest.raises(NothingToPrune, match=r"nothing in Linear can be pruned: .*output"):
        trace(torch.nn.Linear(4, 2), torch.randn(1, 4))


SMALL = [chain, residual, projected_residual, dense_block, depthwise, grouped, transposed_grouped]
WIRED = {make.__name__: make for make in SMALL}
QUANTITIES = ["macs", "params", "size"]


@functools.cache
def plan_of(name):
    torch.manual_seed(0)
    return trace(WIRED[name](), torch.randn(1, 3, 6, 6))


def some_scores(plan, seed=0):
    return np.random.default_rng(seed).random(plan.units)


def counts(plan, stays):
    return [int(stays[group.units].sum()) for group in plan.groups]


def steps_that_fit(plan, stays, target, bounds):
    """Return the groups of which the next step, of any units, would still keep the target: there must be none."""
    costs = CostModel(plan)
    found = []
    for group, now in zip(plan.groups, counts(plan, stays), strict=True):
        absent = group.units[~stays[group.units]]
        more = stays.copy()
        more[absent[: bounds.kept(group, now + 1) - now]] = True
        if len(absent) and target.holds(costs.cost(more), costs.dense):
            found.append(group.name)
    return found


HOW = st.fixed_dictionaries(
    {
        "normalisation": st.sampled_from(["none", "mean", "max", "gaussian"]),
        "scope": st.sampled_from(["global", "uniform", "isomorphic"]),
        "per": st.sampled_from([None, *QUANTITIES]),
    }
)


@given(networks(), HOW, st.data())
def test_a_target_is_kept_and_nothing_more_fits(case, how, data):
    plan = case[2]
    quantity, share = data.draw(st.sampled_from(QUANTITIES)), data.draw(st.integers(20, 100))
    scores = np.array(
        data.draw(st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0]), min_size=plan.units, max_size=plan.units))
    )
    bounds = Bounds(data.draw(st.sampled_from([1, 2, 0.5])), data.draw(st.sampled_from([1, 2, 4])))
    options = {"keep_at_least": bounds.keep_at_least, "round_to": bounds.round_to}
    target, costs = parse_target(f"{quantity}={share}%"), CostModel(plan)
    assume(target.holds(least_cost(plan, **options), costs.dense))
    stays = allocate(plan, scores, target=target, **how, **options) == 0
    assert target.holds(costs.cost(stays), costs.dense)
    assert steps_that_fit(plan, stays, target, bounds) == []
    assert counts(plan, stays) == [bounds.kept(g, n) for g, n in zip(plan.groups, counts(plan, stays), strict=True)]


@given(networks(), HOW, st.integers(0, 2**32 - 1))
def test_levels_nest_hold_and_are_the_same_again(case, how, seed):
    plan, costs = case[2], CostModel(case[2])
    scores, targets = some_scores(plan, seed), [parse_target("macs=80%"), parse_target("params=60%")]
    assume(all(target.holds(least_cost(plan), costs.dense) for target in targets))
    levels, ordered = allocate(plan, scores, target=targets, **how), smallest_first(plan, scores, targets, **how)
    assert all(t.holds(costs.cost(levels <= number), costs.dense) for number, t in enumerate(ordered))
    assert np.array_equal(levels, allocate(plan, scores, target=targets, **how))


@pytest.mark.parametrize("scope", ["global", "uniform", "isomorphic"])
@pytest.mark.parametrize("per", [None, "macs", "params", "size"])
@pytest.mark.parametrize("share", [13, 40, 61, 87, 99])
def test_equal_scores_never_overshoot(plan_and_scores, scope, per, share):
    plan, target = plan_and_scores[0], parse_target(f"macs={share}%")
    stays = allocate(plan, np.ones(plan.units), target=target, scope=scope, per=per) == 0
    assert target.holds(CostModel(plan).cost(stays), CostModel(plan).dense)
    assert steps_that_fit(plan, stays, target, Bounds()) == []


@given(networks(), HOW)
def test_parameters_that_are_not_trained_are_cut_like_others(case, how):
    model, example, plan = case
    model = copy.deepcopy(model).requires_grad_(False)
    still = trace(model, example)
    target = parse_target("params=70%")
    assume(target.holds(least_cost(plan), CostModel(plan).dense))
    one, other = (allocate(p, score(model, p), target=target, **how) for p in (plan, still))
    assert np.array_equal(one, other)
    assert other.any()


LIMITS = st.lists(st.tuples(st.sampled_from(QUANTITIES), st.integers(40, 100)), min_size=2, max_size=4)


@settings(max_examples=200)  # two levels that would not nest by themselves are rare
@given(st.sampled_from(sorted(WIRED)), LIMITS, st.integers(0, 2**32 - 1))
def test_every_level_of_several_keeps_its_own_target(name, limits, seed):
    plan, scores = plan_of(name), some_scores(plan_of(name), seed)
    costs, targets = CostModel(plan), [parse_target(f"{quantity}={share}%") for quantity, share in limits]
    assume(all(target.holds(least_cost(plan), costs.dense) for target in targets))
    levels, ordered = allocate(plan, scores, target=targets), smallest_first(plan, scores, targets)
    found = [costs.cost(levels <= number) for number in range(len(targets))]
    assert all(target.holds(cost, costs.dense) for target, cost in zip(ordered, found, strict=True))


@pytest.mark.parametrize("name", WIRED)
def test_levels_nest_and_the_highest_is_the_whole(name):
    plan = plan_of(name)
    levels = allocate(plan, some_scores(plan), target=["macs=90%", "macs=60%"])
    assert levels.dtype == np.uint8
    assert levels.max() == 2
    assert CostModel(plan).cost(levels <= 2) == CostModel(plan).dense


def test_several_limits_of_one_level_all_hold():
    plan, costs = plan_of("residual"), CostModel(plan_of("residual"))
    target = parse_target("macs=70%,params=50%,size=80%")
    stays = allocate(plan, some_scores(plan), target=target) == 0
    assert target.holds(costs.cost(stays), costs.dense)
    assert steps_that_fit(plan, stays, target, Bounds()) == []


def test_the_order_of_targets_does_not_matter():
    plan = plan_of("chain")
    a, b = (allocate(plan, some_scores(plan), target=t) for t in (["macs=80%", "macs=40%"], ["macs=40%", "macs=80%"]))
    assert np.array_equal(a, b)


def test_the_whole_network_is_a_target_too():
    plan = plan_of("chain")
    assert not allocate(plan, some_scores(plan), target="macs=100%").any()


def test_uniform_takes_the_same_share_of_every_group():
    plan = plan_of("projected_residual")  # groups of 8 and of 12
    scores = some_scores(plan) * np.where(plan.group_of_unit == 0, 1000, 1)
    stays = np.ones(plan.units, bool)
    stays[rank(plan, scores, scope="uniform")[:10]] = False
    assert counts(plan, stays) == [4, 6]


def test_global_compares_scores_relative_to_the_mean_of_the_group():
    plan = plan_of("projected_residual")
    scale = np.where(plan.group_of_unit == 0, 1000, 1)
    scores = some_scores(plan)
    for group in plan.groups:
        scores[group.units] /= scores[group.units].mean()
    assert np.array_equal(rank(plan, scores), rank(plan, scores * scale))


@pytest.mark.parametrize(("least", "kept"), [(1, 1), (3, 3), (0.25, 2), (0.5, 4), (0.51, 5), (100, 8)])
def test_a_group_keeps_at_least_so_many(least, kept):
    assert Bounds(keep_at_least=least).kept(group(8), 0) == kept


@pytest.mark.parametrize(
    ("units", "per_unit", "round_to", "wanted", "kept"),
    [
        (20, 1, 8, 1, 8),
        (20, 1, 8, 9, 16),
        (20, 1, 8, 17, 20),
        (6, 1, 8, 2, 6),
        (32, 4, 8, 3, 4),
        (6, 3, 4, 1, 4),
        (16, 8, 8, 1, 1),
    ],
)
def test_positions_are_multiples_or_the_whole(units, per_unit, round_to, wanted, kept):
    assert Bounds(round_to=round_to).kept(group(units, per_unit), wanted) == kept
    assert kept == units or kept * per_unit % round_to == 0


def group(units, per_unit=1):
    return Group("layer", np.arange(units), (("layer.weight", 0),), per_unit)


@pytest.mark.parametrize("name", WIRED)
@pytest.mark.parametrize("round_to", [2, 3, 4])
def test_every_axis_keeps_multiples_or_everything(name, round_to):
    plan = plan_of(name)
    stays = allocate(plan, some_scores(plan), target="macs=85%", round_to=round_to) == 0
    for group, count in zip(plan.groups, counts(plan, stays), strict=True):
        assert count == len(group.units) or count * group.positions_per_unit % round_to == 0


def test_the_least_is_within_reach():
    plan = plan_of("chain")
    least = least_cost(plan).macs
    assert CostModel(plan).cost(allocate(plan, some_scores(plan), target=f"macs={least}") == 0).macs == least
