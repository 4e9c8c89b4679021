"""Settling: after it images cost the budget or just below, whatever the thresholds were."""

import pytest
import torch

from elastic.dynamic import in_all, spent
from elastic.dynamic.channel import channel_gated
from elastic.dynamic.counting import counters
from elastic.dynamic.precision import precision_gated
from elastic.dynamic.settling import NEAR, settle
from elastic.dynamic_gating import channel_gating_of, precision_gating_of
from elastic.proofs import same_bits
from tests.dynamic.conftest import EXAMPLE, SEEN, small

BATCHES = SEEN.split(7)
ELSEWHERE = 4000  # MACs an image


def gated(kind, **options):
    options |= {"layers": ("stem", "middle")}
    if kind == "precision":
        return precision_gated(small(), EXAMPLE.double(), [SEEN], precision_gating_of("calibrated", **options))
    return channel_gated(small(), EXAMPLE.double(), channel_gating_of("paper", **options), [SEEN])


def thresholds(network):
    return [network.get_parameter(f"{name}.gate.threshold") for name in counters(network)]


def share(network):
    with torch.no_grad():
        for images in BATCHES:
            network(images)
    return in_all(spent(network), ELSEWHERE).share


@pytest.mark.parametrize("budget", [0.7, 0.85, 0.999])
@pytest.mark.parametrize("begin", [-30.0, 0.0, 0.3, 50.0])
@pytest.mark.parametrize("kind", ["channel", "precision", "two sides"])
def test_images_cost_the_budget_or_just_below(kind, begin, budget):
    network = gated(kind, **({"sides": "two"} if kind == "two sides" else {}))
    for threshold in thresholds(network):
        threshold.data += begin
    settle(network, BATCHES, budget, ELSEWHERE)
    assert budget - 2 * NEAR <= share(network) <= budget


def test_each_share_that_was_tried_is_told():
    network, told = gated("channel"), []
    before = share(network)
    settle(network, BATCHES, 0.7, ELSEWHERE, told.append)
    assert told[0] == pytest.approx(before)
    assert any(0.7 - NEAR <= each <= 0.7 for each in told)


def test_one_number_moves_all_thresholds():
    network = gated("channel")
    before = [threshold.detach().clone() for threshold in thresholds(network)]
    shift = settle(network, BATCHES, 0.7, ELSEWHERE)
    assert shift
    for threshold, was in zip(thresholds(network), before, strict=True):
        torch.testing.assert_close(threshold.detach(), was + shift)


@pytest.mark.parametrize("budget", [1.0, 0.7])
def test_what_is_near_enough_stays(budget):
    network = gated("channel")
    settle(network, BATCHES, budget, ELSEWHERE)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert settle(network, BATCHES, budget, ELSEWHERE) == 0
    assert all(same_bits(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert not any(counter.positions for counter in counters(network).values())


def test_all_gates_are_open_at_a_budget_of_the_whole():
    network = gated("channel")
    settle(network, BATCHES, 1.0, ELSEWHERE)
    assert share(network) == 1


def test_without_images_nothing_moves():
    network = gated("channel")
    before = [threshold.detach().clone() for threshold in thresholds(network)]
    assert settle(network, [], 0.5) == 0
    assert all(same_bits(t.detach(), was) for t, was in zip(thresholds(network), before, strict=True))
