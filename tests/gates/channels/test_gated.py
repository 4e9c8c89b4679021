"""Gates: closed is cut, open is whole, and the price is the plan's own count."""

import numpy as np
import pytest
import torch

import elastic
from elastic.costs import CostModel
from elastic.errors import UnknownName
from elastic.fitting import fitted
from elastic.gates import OPENINGS, Gates
from elastic.gates.channels import Gated, Price
from elastic.proofs import relative_error
from elastic.targets import QUANTITIES
from tests.wirings import WIRINGS

NETWORKS = [
    "chain", "residual", "projected_residual", "dense_block", "depthwise", "grouped", "tied_weights",
    "transposed_grouped",
]  # fmt: skip


def opened(name, seed=0):
    torch.manual_seed(seed)
    wiring = WIRINGS[name]
    model, example = wiring.make().double().eval(), wiring.example()
    example = example.double() if example.is_floating_point() else example
    return model, example, elastic.trace(model, example)


def gates_of(plan, stays, **options):
    gates = Gates(plan.units, **options)
    with torch.no_grad():
        gates.logits.copy_(torch.from_numpy(np.where(stays, 2.0, -2.0)))
    return gates.double()


def some(plan, seed=0):
    """Return which units stay, at least one of each group."""
    stays = np.random.default_rng(seed).random(plan.units) < 0.6
    for group in plan.groups:
        stays[group.units[0]] = True
    return stays


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_of_closed_gates_makes_what_the_cut_network_makes(name):
    model, example, plan = opened(name)
    stays = some(plan)
    gated = Gated(model, plan, gates_of(plan, stays)).eval()
    levels = (~stays).astype(np.uint8)
    cut = fitted(model, elastic.cut(model.state_dict(), plan, levels, 0), plan.sizes(levels, 0)).eval()
    with torch.no_grad():
        assert relative_error(gated(example), cut(example)) < 1e-10


@pytest.mark.parametrize("name", NETWORKS)
def test_open_gates_change_nothing(name):
    model, example, plan = opened(name)
    gated = Gated(model, plan, gates_of(plan, np.ones(plan.units, np.bool_))).eval()
    assert torch.equal(gated(example), model(example))


def test_every_gate_is_felt():
    model, example, plan = opened("residual")
    gated = Gated(model, plan, Gates(plan.units).double()).train()
    gated(example).square().sum().backward()
    assert (gated.gates.logits.grad != 0).all()


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("quantity", QUANTITIES)
def test_the_price_of_binary_gates_is_the_counted_cost(name, quantity):
    _, _, plan = opened(name)
    price, costs = Price(plan, quantity), CostModel(plan)
    assert float(price(torch.ones(plan.units))) == 1
    for seed in range(3):
        stays = some(plan, seed)
        found = float(price(torch.from_numpy(stays).double())) * costs.dense[quantity]
        wanted = costs.cost(stays)[quantity]
        if quantity == "size":
            assert -1e-6 <= found - wanted <= price.header
        else:
            assert found == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("opening", ["sigmoid", "hard-concrete"])
def test_the_gradient_of_the_price_is_the_units_share_times_the_slope_of_its_gate(opening):
    _, _, plan = opened("dense_block")
    gates, price = Gates(plan.units, opening, temperature=0.7).double(), Price(plan)
    with torch.no_grad():
        gates.logits.copy_(torch.linspace(-2, 2, plan.units))
    price(gates.priced()).backward()
    step = 1e-5
    for unit in range(0, plan.units, 3):
        found = []
        for sign in (1, -1):
            with torch.no_grad():
                gates.logits[unit] += sign * step
                found.append((float(price(gates.priced())), float(gates.priced()[unit])))
                gates.logits[unit] -= sign * step
        slope = (found[0][0] - found[1][0]) / (2 * step)
        assert float(gates.logits.grad[unit]) == pytest.approx(slope, rel=1e-5, abs=1e-12)
        opens = (found[0][1] - found[1][1]) / (2 * step)
        share = gates.priced().detach().clone()
        costs = []
        for value in (1.0, 0.0):
            share[unit] = value
            costs.append(float(price(share)))
        if "conv" not in opening and abs(opens) > 0:
            assert slope / opens == pytest.approx(costs[0] - costs[1], rel=0.05)


def test_an_opening_falls_to_binary_with_the_temperature():
    gates = Gates(4, "sigmoid", temperature=1e-3)
    with torch.no_grad():
        gates.logits.copy_(torch.tensor([-1.0, -0.1, 0.1, 1.0]))
    assert gates.train()().tolist() == pytest.approx([0, 0, 1, 1], abs=1e-6)


def test_binary_gates_are_drawn_with_the_probability_and_the_slope_of_the_sigmoid():
    gates = Gates(3, "binary").train()
    with torch.no_grad():
        gates.logits.copy_(torch.tensor([-1.0, 0.5, 2.0]))
        drawn = torch.stack([gates() for _ in range(4000)])
    soft = torch.sigmoid(gates.logits.detach())
    assert set(drawn.unique().tolist()) == {0, 1}
    torch.testing.assert_close(drawn.mean(0), soft, atol=0.03, rtol=0)
    gates().sum().backward()
    torch.testing.assert_close(gates.logits.grad, soft * (1 - soft))


def test_hard_concrete_gates_are_zero_as_often_as_their_price_says():
    torch.manual_seed(0)
    gates = Gates(3, "hard-concrete", temperature=2 / 3).train()
    with torch.no_grad():
        gates.logits.copy_(torch.tensor([-2.0, 0.0, 2.0]))
        drawn = torch.stack([gates() for _ in range(4000)])
    torch.testing.assert_close((drawn > 0).float().mean(0), gates.priced().detach(), atol=0.03, rtol=0)
    assert ((drawn == 0) | (drawn == 1)).any(0).all()


@pytest.mark.parametrize("opening", OPENINGS)
def test_in_eval_mode_gates_are_hard(opening):
    gates = Gates(2, opening).eval()
    with torch.no_grad():
        gates.logits[0] = -0.5
    assert gates().tolist() == [0, 1]


def test_unknown_names_are_refused():
    with pytest.raises(UnknownName, match="unknown opening 'soft'; known: sigmoid, hard-concrete, binary"):
        Gates(3, "soft")
    with pytest.raises(UnknownName, match="unknown quantity 'time'; known: macs, params, size"):
        Price(opened("chain")[2], "time")
