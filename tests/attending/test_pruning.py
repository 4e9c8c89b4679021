"""Pruning by attention: rounds, targets, nested levels, when a recovery is left, the report."""

import itertools

import numpy as np
import pytest
import torch
from torch.utils.data import Subset

import elastic
from elastic.attending import PRESETS, alternation_of, prune_by_attention
from elastic.attending.report import front, report_of
from elastic.data import Preprocessing, divided, evaluate, images_loader, load
from elastic.errors import InvalidRecipe, TargetError, UnknownName
from elastic.proofs import same_bits
from elastic.recipes import Recipe
from elastic.reporting import HeatMap, write_report

NETWORK = "elastic/digits_resnet"
EXAMPLE = torch.zeros(1, 1, 8, 8)
RECIPE = Recipe(epochs=1, shift=1, mirror=False, batch=64, learning_rate=0.02, label_smoothing=0.0, distil=0.9)
SHORT = {"rounds": 2, "recovery": 1}


@pytest.fixture(scope="module")
def tested():
    return images_loader(load("digits", train=False, preprocessing=Preprocessing.default(NETWORK)), 250)


@pytest.fixture(scope="module")
def parts(digits):
    return divided(digits, 0.1, 0)


@pytest.fixture(scope="module")
def done(trained, parts, tested):
    learned, held_out = parts
    return prune_by_attention(
        trained, EXAMPLE, Subset(learned, range(320)), RECIPE, target=["macs=40%", "macs=70%"], fine_tune=RECIPE,
        validation=held_out, alternation=alternation_of(rounds=2, recovery=1, ramp=0.5),
        measure=lambda network: evaluate(network, tested).top1,
    )  # fmt: skip


def test_levels_keep_their_targets_and_are_as_large_as_fits(done):
    pruned, _ = done
    shares = [pruned.cost(level).macs / pruned.cost(2).macs for level in range(2)]
    assert [0.65 < shares[1] <= 0.7, 0.35 < shares[0] <= 0.4] == [True, True]
    assert pruned.names == ("macs=40%", "macs=70%", "full")


def test_what_is_tuned_is_better_than_chance_by_far(done):
    _, stages = done
    assert [stage.top1["tuned"] > 80 for stage in stages] == [True, True]


def test_the_accuracy_of_settled_attention_is_that_of_the_cut_network(done):
    _, stages = done
    assert [stage.top1["settled"] - stage.top1["cut"] for stage in stages] == [0, 0]


def test_what_one_round_closes_stays_closed_in_all_that_follow(done):
    _, stages = done
    opened = [each.is_open for stage in stages for each in (*stage.rounds,)]
    assert [bool((after & ~before).any()) for before, after in itertools.pairwise(opened)].count(True) == 0
    assert not (stages[1].stays & ~stages[0].stays).any()


def test_closed_attention_is_exactly_zero_and_never_more_than_the_target_asks(done):
    _, stages = done
    for stage in stages:
        assert (stage.values >= 0).all()
        assert (stage.values == 0).any()
        assert np.isfinite(stage.values).all()
        assert stage.costs["settled"] <= stage.aim.share <= stage.costs["attended"]


def test_the_file_gives_back_the_model_bit_for_bit(done, trained, tmp_path):
    pruned, _ = done
    pruned.save(tmp_path / "n.safetensors", model_name=NETWORK)
    whole = elastic.load_state(tmp_path / "n.safetensors", "full")
    assert all(same_bits(tensor, whole[name]) for name, tensor in trained.state_dict().items())


def test_the_order_of_scores_is_that_in_which_units_closed(done):
    pruned, stages = done
    for stage in stages:
        assert pruned.scores[~stage.stays].max() < pruned.scores[stage.stays].min()


def test_the_report_shows_rounds_as_a_heat_map_with_what_is_closed(done, tmp_path):
    pruned, stages = done
    report = report_of(pruned, stages, 98.0, NETWORK)
    (heat,) = [part for part in report.parts if isinstance(part, HeatMap)]
    assert all(0 <= low <= high <= 100 for row in heat.values for low, high in itertools.pairwise(row))
    write_report(report, tmp_path)
    assert {"pruned.svg", "rounds.csv", "accuracy-cost-rounds.png"} <= {path.name for path in tmp_path.iterdir()}


def test_the_front_is_what_nothing_cheaper_is_as_good_as():
    assert front([(50, 80), (60, 70), (40, 75), (60, 90), (40, 60), (70, 90)]) == [(40, 75), (50, 80), (60, 90)]


def test_a_recovery_is_left_as_soon_as_accuracy_is_back(trained, digits):
    few = Subset(digits, range(192))
    how = {"target": "macs=80%", "validation": Subset(digits, range(192, 256)), "recover": False}
    lax, strict = (
        prune_by_attention(
            trained, EXAMPLE, few, RECIPE, alternation=alternation_of(rounds=1, recovery=3, **own), **how
        )
        for own in ({"tolerance": 100.0}, {"tolerance": 0.0})
    )
    assert [len(each.recovery) for each in lax[1][0].rounds] == [0]
    assert len(strict[1][0].rounds[0].recovery) > 0


def test_without_held_out_images_all_epochs_are_needed(trained, digits):
    _, (stage,) = prune_by_attention(
        trained, EXAMPLE, Subset(digits, range(128)), RECIPE, target="macs=80%", recover=False,
        alternation=alternation_of(rounds=1, recovery=2),
    )  # fmt: skip
    assert [(len(each.recovery), each.top1) for each in stage.rounds] == [(2, None)]


@pytest.mark.parametrize("preset", PRESETS)
def test_without_a_target_the_price_decides(trained, digits, preset):
    pruned, (stage,) = prune_by_attention(
        trained, EXAMPLE, Subset(digits, range(256)), RECIPE, recover=False,
        alternation=alternation_of(preset, rounds=2, recovery=1, elastic_net=0.1),
    )  # fmt: skip
    assert np.array_equal(stage.stays, stage.values > 0)
    assert pruned.cost(0).macs < pruned.cost(1).macs
    assert stage.changed == 0


@pytest.mark.parametrize(
    "own", [{"start": "random"}, {"mapping": "value"}, {"divisor": "percentile"}, {"train_weights": True}]
)
def test_every_way_to_begin_and_to_divide_comes_to_the_target(trained, digits, own):
    pruned, _ = prune_by_attention(
        trained, EXAMPLE, Subset(digits, range(128)), RECIPE, target="params=70%", recover=False,
        alternation=alternation_of(**SHORT, **own), keep_at_least=0.25, round_to=2,
    )  # fmt: skip
    assert 0.6 < pruned.cost(0).params / pruned.cost(1).params <= 0.7


def test_without_an_elastic_net_nothing_closes_and_that_is_said(trained, digits):
    with pytest.raises(InvalidRecipe, match="strength=0 closed no unit; give a higher strength"):
        prune_by_attention(
            trained, EXAMPLE, Subset(digits, range(64)), RECIPE, recover=False,
            alternation=alternation_of(rounds=1, recovery=0, elastic_net=0.0),
        )  # fmt: skip


@pytest.mark.parametrize(
    ("how", "error", "told"),
    [
        ({"target": "macs=60%,params=50%"}, TargetError, "has 2 limits"),
        ({"target": "macs=0.001%"}, TargetError, "cannot be reached"),
        ({"recipe": RECIPE.model_copy(update={"patience": 1})}, InvalidRecipe, "rounds have a rule of their own"),
        ({"alternation": alternation_of(start="energie")}, UnknownName, "unknown criterion 'energie'"),
    ],
)
def test_what_can_not_be_done_is_refused_before_training(trained, digits, how, error, told):
    with pytest.raises(error, match=told):
        prune_by_attention(trained, EXAMPLE, digits, **{"target": "macs=60%", "recipe": RECIPE, **how})


def test_settings_are_checked():
    with pytest.raises(UnknownName, match="unknown preset 'old'; known: importance, published"):
        alternation_of("old")
    with pytest.raises(InvalidRecipe, match="attention has no option 'heat'"):
        alternation_of(heat=3)
    with pytest.raises(InvalidRecipe, match="sparse=2 can't be followed"):
        alternation_of(sparse=2)
