"""Closing: nothing closes without a reason, and the price is what it is said to be."""

import copy

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import elastic
from elastic.errors import UnknownName
from elastic.gates import Gates
from elastic.gates.opening import START
from elastic.gates.steering import Steering
from elastic.gates.weights import Closing, put_gates
from elastic.gates.weights.aim import Aim, prices
from elastic.recipes import Recipe
from elastic.training import train
from tests.wirings import WIRINGS


class Deaf(nn.Module):
    """A network whose loss tells nothing of its weights."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 3)

    def forward(self, x):
        return 0 * self.layer(x)


IMAGES = TensorDataset(torch.randn(64, 8), torch.arange(64) % 3)
OPTIMISERS = {"sgd": {"learning_rate": 0.1}, "adamw": {"optimiser": "adamw", "learning_rate": 0.01}}


def recipe(**options):
    return Recipe(**{"epochs": 4, "batch": 8, "shift": 0, "mirror": False, "weight_decay": 0.5} | options)


def closing(gated, strength, **options):
    gates = {name: found for name, (_, found) in gated.items()}
    return Closing(gates, dict.fromkeys(gates, 1.0), Steering(32, strength), **options)


@pytest.fixture
def flat_images(monkeypatch):
    """Vectors have nothing to be moved or mirrored."""
    monkeypatch.setattr("elastic.training.objectives.moved", lambda images, moves: images)
    monkeypatch.setattr("elastic.training.objectives.draw_moves", lambda *_, **__: type("M", (), {"part": id})())


@pytest.mark.parametrize("how", OPTIMISERS.values(), ids=OPTIMISERS)
def test_without_a_price_and_a_task_not_one_gate_moves_under_weight_decay(flat_images, how):
    model = Deaf()
    gated = put_gates(model)
    (_, gates) = gated["layer.weight"]
    before = model.layer.parametrizations.weight.original.detach().clone()
    epochs = train(model, IMAGES, recipe(**how), hook=closing(gated, 0.0, rate=100.0))
    assert torch.equal(gates.logits, torch.full((3, 8), START))
    assert model.layer.parametrizations.weight.original.norm() < 0.95 * before.norm()
    assert epochs[-1].told["sparsity_hard"] == 0


@pytest.mark.parametrize("how", OPTIMISERS.values(), ids=OPTIMISERS)
def test_decay_alone_would_close_gates_that_were_not_apart(flat_images, how):
    model = Deaf()
    (_, gates) = put_gates(model)["layer.weight"]
    train(model, IMAGES, recipe(**how))
    assert (gates.logits < START).all()


@pytest.mark.parametrize("how", OPTIMISERS.values(), ids=OPTIMISERS)
def test_with_a_price_alone_all_gates_close(flat_images, how):
    model = Deaf()
    gated = put_gates(model)
    hook = closing(gated, 24 * 0.1, rate=100.0 if how.get("optimiser") else 1000.0)
    epochs = train(model, IMAGES, recipe(**how), hook=hook)
    assert epochs[-1].told["sparsity_hard"] == 1
    assert epochs[-1].told["strength"] == pytest.approx(0.1)


@pytest.mark.parametrize("per", ["params", "macs"])
@pytest.mark.parametrize("opening", ["sigmoid", "hard-sigmoid", "hard-concrete"])
def test_the_gradient_of_the_price_is_the_gates_share_times_its_slope(opening, per):
    wiring = WIRINGS["residual"]
    model, example = wiring.make(), wiring.example()
    plan = elastic.trace(model, example)
    gates = {name: found.double() for name, (_, found) in put_gates(model, opening=opening).items()}
    count = sum(each.logits.numel() for each in gates.values())
    hook = Closing(gates, prices(plan, gates, per), Steering(10, 0.3 * count))
    with torch.no_grad():
        for each in gates.values():
            each.logits.uniform_(-2, 2)
    hook.penalty().backward()
    used = {o.weight: o.macs for o in plan.operations}
    total = sum(used[name] * each.logits.numel() for name, each in gates.items())
    step = 1e-5
    for name, each in gates.items():
        share = 1.0 if per == "params" else used[name] * count / total
        logits, found = each.logits.detach().clone(), []
        for sign in (1, -1):
            with torch.no_grad():
                each.logits.copy_(logits).view(-1)[0] += sign * step
                found.append((float(hook.penalty()), float(each.priced().view(-1)[0])))
        slope = (found[0][1] - found[1][1]) / (2 * step)
        gradient = float(each.logits.grad.view(-1)[0])
        assert gradient == pytest.approx(0.3 * share * slope, rel=1e-6)
        assert gradient == pytest.approx((found[0][0] - found[1][0]) / (2 * step), rel=1e-3)


def test_prices_are_one_in_the_mean_and_go_by_the_use_of_a_weight():
    wiring = WIRINGS["chain"]
    model, example = wiring.make(), wiring.example()
    plan = elastic.trace(model, example)
    gates = {name: found for name, (_, found) in put_gates(model).items()}
    found = prices(plan, gates, "macs")
    sizes = {name: each.logits.numel() for name, each in gates.items()}
    assert sum(found[name] * size for name, size in sizes.items()) == pytest.approx(sum(sizes.values()))
    assert found["a.weight"] == pytest.approx(36 * found["head.weight"])  # 6 by 6 pixels
    assert set(prices(plan, gates, "params").values()) == {1.0}


def test_an_unknown_price_is_refused():
    with pytest.raises(UnknownName, match="unknown price 'bytes'; known: params, macs"):
        Aim(per="bytes")


def test_an_epoch_tells_how_far_gates_are_closed():
    gates = Gates(4)
    with torch.no_grad():
        gates.logits.copy_(torch.tensor([-10.0, -1.0, 1.0, 10.0]))
    told = Closing({"a": gates}, {"a": 1.0}, Steering(10, 8.0)).after_epoch(1, 1)
    assert told == pytest.approx({"sparsity_soft": 0.5, "sparsity_hard": 0.25, "strength": 2.0})


def test_a_closing_is_known_by_its_settings():
    gates = {"a": Gates(4)}
    one = Closing(gates, {"a": 1.0}, Steering(10, 8.0))
    assert copy.deepcopy(one).settings() == one.settings()
    for other in (
        Closing(gates, {"a": 1.0}, Steering(10, 9.0)),
        Closing(gates, {"a": 1.0}, Steering(10, 8.0, 0.1)),
        Closing({"a": Gates(4, "binary")}, {"a": 1.0}, Steering(10, 8.0)),
    ):
        assert other.settings() != one.settings()
