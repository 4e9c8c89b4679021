"""Learning: thresholds apart, penalties, budgets, going on after a stop, accuracy."""

import pytest
import torch
from torch.utils.data import Subset

from elastic.data import Preprocessing, evaluate, images_loader, load
from elastic.dynamic import in_all, reset, spent
from elastic.dynamic.channel import channel_gated, channel_gates, gate_channels_dynamically
from elastic.dynamic.counting import counters
from elastic.dynamic.learning import Deciders, Price, macs_elsewhere, positions_of
from elastic.dynamic.precision import average_bits, gate_precision, precision_gated, precision_gates
from elastic.dynamic_gating import CHANNEL, channel_gating_of, precision_gating_of
from elastic.errors import TargetError
from elastic.proofs import same_bits
from elastic.recipes import Recipe
from elastic.tracing import trace
from elastic.training.optimising import optimiser_of
from tests.dynamic.conftest import EXAMPLE, SEEN, small

DIGITS = torch.zeros(1, 1, 8, 8)
RECIPE = Recipe(epochs=2, shift=0, mirror=False, batch=32, learning_rate=0.02)


def hook_of(network, gates, gating, elsewhere=0):
    found = counters(network)
    price = Price(found, positions_of(trace(small().float(), EXAMPLE), found, EXAMPLE), elsewhere)
    return Deciders({name: layer.gate for name, layer in gates.items()}, price, gating)


def channels(**options):
    gating = channel_gating_of("paper", layers=("stem", "middle"), **options)
    network = channel_gated(small(), EXAMPLE.double(), gating, [SEEN])
    return network, hook_of(network, channel_gates(network), gating)


def test_thresholds_have_no_decay_and_a_rate_of_their_own():
    network, hook = channels(rate=0.5)
    groups = optimiser_of(Recipe(learning_rate=0.2), network.parameters(), hook.apart, hook.rate).param_groups
    own = {id(p) for name, p in network.named_parameters() if "threshold" in name}
    (apart,) = [group for group in groups if {id(p) for p in group["params"]} & own]
    assert {id(p) for p in apart["params"]} == own
    assert (apart["weight_decay"], apart["lr"]) == (0.0, 0.1)


def test_thresholds_are_drawn_to_their_target_by_squares(images):
    network, hook = channels(strength=0.5, target=1.5)
    network.train()(images)
    wanted = 0.5 * sum((layer.gate.threshold - 1.5).square().sum() for layer in channel_gates(network).values())
    torch.testing.assert_close(hook.penalty(), wanted)


def test_thresholds_of_precision_are_drawn_by_magnitudes(images):
    gating = precision_gating_of("published", layers=("stem",), strength=0.5, target=2.0, prediction_bits=2)
    network = precision_gated(small(), EXAMPLE.double(), [images], gating)
    hook = hook_of(network, precision_gates(network), gating)
    network.train()(images)
    torch.testing.assert_close(hook.penalty().double(), 0.5 * (network.stem.gate.threshold - 2).abs().sum())


def test_the_price_is_what_is_counted(images):
    network, hook = channels()
    hook.price = Price(hook.price.counters, hook.price.positions, elsewhere=500)
    network.train()(images)
    opened = {name: each.last.count_nonzero() for name, each in counters(network).items()}
    total = sum(5 * count * 18 + int(opened[name]) * 54 for name, count in hook.price.positions.items())
    assert hook.price.positions == {"stem": 8 * 36, "middle": 12 * 9}
    assert float(hook.price().detach()) == pytest.approx((total / 5 + 500) / (72 * (8 * 36 + 12 * 9) + 500))


def test_all_other_layers_are_what_is_left_of_the_plan():
    network, _ = channels()
    plan = trace(small().float(), EXAMPLE)
    assert macs_elsewhere(plan, counters(network), EXAMPLE) == 4 * 12 * 9


def test_a_budget_that_is_less_than_the_base_path_is_refused():
    with pytest.raises(TargetError, match=r"budget of 20\.0% can't be met: with all gates closed 25\.0%"):
        channels(budget=0.2)


def test_a_price_rises_while_too_much_is_spent_and_falls_below_zero_when_too_little(images):
    network, hook = channels(budget=0.5, ramp=0.0)
    hook.begin(RECIPE, 10)
    network.train()(images)
    hook.penalty()
    hook.after_step()
    for threshold, is_above in [(-9.0, True), (9.0, False)]:
        for layer in channel_gates(network).values():
            layer.gate.threshold.data.fill_(threshold)
        network.train()(images)
        hook.penalty()
        assert (hook.now > 0) == is_above


def top1(network):
    data = load("digits", train=False, preprocessing=Preprocessing.default("elastic/digits_resnet"))
    return evaluate(network, images_loader(data, 250)).top1


def test_channel_gating_comes_to_its_budget_and_keeps_accuracy(trained, digits):
    gating, few = channel_gating_of("paper", layers=("layer*.conv?",), budget=0.6, ramp=0.3), Subset(digits, range(512))
    network, price, epochs = gate_channels_dynamically(trained, DIGITS, few, RECIPE, gating=gating, calibration=128)
    reset(network)
    assert top1(network) > 90
    assert in_all(spent(network), price.elsewhere).share == pytest.approx(0.6, abs=0.01)
    assert {"cost", "strength"} == epochs[-1].told.keys()


def test_precision_gating_comes_to_its_budget_and_keeps_accuracy(trained, digits):
    gating = precision_gating_of("calibrated", layers=("layer*.conv?",), budget=0.8, ramp=0.3)
    few = Subset(digits, range(512))
    network, _, epochs = gate_precision(trained, DIGITS, few, RECIPE, gating=gating, calibration=128)
    reset(network)
    assert top1(network) > 90
    assert average_bits(network, spent(network)) == pytest.approx(3 * 0.8, abs=0.03)
    assert {"cost", "strength"} == epochs[-1].told.keys()


@pytest.mark.parametrize("preset", CHANNEL)
def test_what_goes_on_ends_with_the_same_bits(trained, digits, tmp_path, preset):
    few, how = Subset(digits, range(96)), {"gating": channel_gating_of(preset, budget=0.9), "calibration": 50}
    recipe = RECIPE.model_copy(update={"epochs": 1})
    whole, _, _ = gate_channels_dynamically(trained, DIGITS, few, recipe, **how)

    class Stopped(Exception):
        pass

    def stop(moment):
        if moment.done == 2:
            raise Stopped

    training = {"keep": tmp_path / "a.training"}
    with pytest.raises(Stopped):
        gate_channels_dynamically(trained, DIGITS, few, recipe, training={**training, "progress": stop}, **how)
    again, _, _ = gate_channels_dynamically(trained, DIGITS, few, recipe, training=training, **how)
    assert all(same_bits(tensor, again.state_dict()[name]) for name, tensor in whole.state_dict().items())
