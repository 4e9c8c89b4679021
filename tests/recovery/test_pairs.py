"""Pairs: the first of two layers is changed for what the second makes."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from elastic.recovery import ridge
from elastic.recovery.branches import Branch
from elastic.recovery.pairs import Pair
from elastic.watching import rows
from elastic.watching.calls import Watch
from elastic.watching.sites import find_sites


def network(groups=1):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(4, 6, 3, padding=1, stride=2, groups=groups), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 5, 3)
    ).eval()


def perceptron():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.GELU(), nn.Linear(6, 5)).eval()


X = torch.randn(8, 4, 11, 11, generator=torch.Generator().manual_seed(0))
CASES = {
    "convolutions": (network(), X),
    "grouped": (network(2), X),
    "linear": (perceptron(), torch.randn(64, 4, generator=torch.Generator().manual_seed(0))),
    "tokens": (perceptron(), torch.randn(8, 9, 4, generator=torch.Generator().manual_seed(0))),
}


def opened(net, x):
    """Return the pair of a network's two layers, the second wanting what other weights would make of the input."""
    calls = {}
    first, second = find_sites(net, lambda: net(x))
    with torch.no_grad(), Watch(lambda call: (calls.setdefault(call.number, call), NotImplemented)[1]):
        made = net(x)
        wanted = made + 0.3 * torch.randn(made.shape, generator=torch.Generator().manual_seed(1))
    layer = rows.layer_of(calls[first.call])
    index = rows.choose(calls[first.call].run(), layer, 10**9, torch.Generator())
    read = rows.read(layer, index)
    found = ridge.products([(read, torch.zeros_like(read))], constant=True)
    path = [calls[number] for number in second.path]
    branch = Branch(second, calls[second.call], (), wanted)
    return Pair(calls[first.call], path, branch, ridge.factors(found, 1e-3), True), net[0], wanted


@pytest.mark.parametrize(("net", "x"), CASES.values(), ids=CASES)
def test_each_step_takes_away_error_and_the_weights_make_what_was_promised(net, x):
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    with torch.no_grad():
        pair, layer, wanted = opened(net, x)
        errors = [float((wanted - net(x)).square().sum())]
        for _ in range(3):
            assert pair.advance(torch.Generator().manual_seed(0))
            errors.append(float((wanted - pair.end(pair.made)).square().sum()))
        layer.weight += rows.as_weight(pair.layer, pair.step)
        layer.bias += pair.constant.reshape(-1)
        found = float((wanted - net(x)).square().sum())
        net.load_state_dict(before)
    assert errors == sorted(errors, reverse=True)
    assert errors[1] < errors[0] * 0.99
    assert found == pytest.approx(errors[-1], rel=1e-4)


def test_where_the_first_can_reach_all_one_step_of_a_linear_pair_nearly_does():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), nn.Identity(), nn.Linear(6, 5)).eval()
    x = torch.randn(512, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        pair, layer, _ = opened(net, x)
        change = 0.1 * torch.randn(layer.weight.shape, generator=torch.Generator().manual_seed(2))
        wanted = net[2](F.linear(x, layer.weight + change, layer.bias))
        pair.second = Branch(pair.second.site, pair.second.call, (), wanted)
        before = float((wanted - net(x)).square().sum())
        assert pair.advance(torch.Generator().manual_seed(0))
        assert float((wanted - pair.end(pair.made)).square().sum()) < 0.02 * before


def test_no_step_is_taken_where_nothing_is_wrong():
    net, x = CASES["convolutions"]
    with torch.no_grad():
        pair, _, _ = opened(net, x)
        pair.second = Branch(pair.second.site, pair.second.call, (), net(x))
        assert not pair.advance(torch.Generator().manual_seed(0))
    assert not pair.step.any()
