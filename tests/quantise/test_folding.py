"""Folding: norms go, levels stay, and nothing else changes."""

from dataclasses import replace

import pytest
import torch
from torch import nn

import elastic
from elastic.errors import ProofFailed
from elastic.proofs import relative_error
from elastic.quantise import folded, quantised, quantised_layers
from elastic.quantise.folding import folding_pairs
from tests.wirings import WIRINGS
from tests.wirings.registry import Wired, conv, mean

EXAMPLE = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(0))


def lively(model):
    """Return it with norms that do something, with both signs, and one channel at zero."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
            if module.affine:
                nn.init.normal_(module.weight)
                nn.init.normal_(module.bias)
                module.weight.data[0] = 0
    return model.eval()


def wired(connect, **held):
    return lively(Wired(connect, **held))


def pairs_of(model):
    return folding_pairs(quantised(model, [EXAMPLE]), elastic.trace(model, EXAMPLE), EXAMPLE)


@pytest.mark.parametrize("bits", ["W8A8", "W3A4"])
@pytest.mark.parametrize("weights", ["max", "learned"])
@pytest.mark.parametrize("name", ["chain", "norm_without_weights", "dense_block"])
def test_a_folded_network_is_the_network(name, weights, bits):
    model = lively(WIRINGS[name].make())
    network = quantised(model, [EXAMPLE], bits, weights=weights).double()
    found = folded(network, elastic.trace(model, EXAMPLE), EXAMPLE.double())
    with torch.no_grad():
        assert relative_error(found(EXAMPLE.double()), network(EXAMPLE.double())) < 1e-6


def test_levels_stay_but_for_signs():
    model = lively(WIRINGS["chain"].make())
    network = quantised(model, [EXAMPLE], "W4A8")
    found = folded(network, elastic.trace(model, EXAMPLE), EXAMPLE)
    before, after = (each.a.weight_quantiser.levels(each.a.weight) for each in (network, found))
    assert torch.equal(after, before * model.norm.weight.sign().to(torch.int8).view(-1, 1, 1, 1))
    assert (model.norm.weight < 0).any()
    assert isinstance(found.norm, nn.Identity)
    assert set(quantised_layers(found)) == {"a", "b", "head"}


def test_all_norms_of_a_residual_network_are_folded(trained, rounded_digits, tested):
    found = folded(rounded_digits, elastic.trace(trained, tested[:1]), tested[:2])
    assert not any(isinstance(module, nn.BatchNorm2d) for module in found.modules())
    with torch.no_grad():
        assert torch.equal(found(tested).argmax(1), rounded_digits(tested).argmax(1))


def test_a_norm_behind_something_else_stays():
    assert pairs_of(lively(WIRINGS["concatenation"].make())) == {}


@pytest.mark.parametrize(
    "connect",
    [
        lambda m, x: mean(m.b(m.norm(torch.max_pool2d(m.a(x), 2)))),
        lambda m, x: mean(m.b(m.norm(made := m.a(x)) + made)),
    ],
    ids=["behind a pool", "beside a sum"],
)
def test_a_norm_that_is_not_alone_and_directly_behind_stays(connect):
    assert pairs_of(wired(connect, a=conv(3, 8), norm=nn.BatchNorm2d(8), b=conv(8, 5))) == {}


def test_what_the_plan_does_not_know_of_is_found_out():
    model = wired(
        lambda m, x: mean(m.b(m.norm(made := m.a(x)) + made)), a=conv(3, 8), norm=nn.BatchNorm2d(8), b=conv(8, 5)
    )
    plan = elastic.trace(model, EXAMPLE)
    blind = replace(plan, layers=tuple(layer for layer in plan.layers if layer.kind in ("convolution", "norm")))
    blind = replace(blind, layers=tuple(replace(each, inputs=each.inputs[:1]) for each in blind.layers[:2]))
    with pytest.raises(ProofFailed, match="with its norms folded differs"):
        folded(quantised(model, [EXAMPLE]), blind, EXAMPLE)
