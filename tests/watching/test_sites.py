"""Sites: where layers are fitted, and how an error finds its way back from a sum."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from elastic.watching.calls import Watch
from elastic.watching.sites import find_sites, undone


class Net(nn.Module):
    """Layers by name, and a function over them."""

    def __init__(self, forward, **held):
        super().__init__()
        self.run = forward
        for name, value in held.items():
            setattr(self, name, value)

    def forward(self, x):
        return self.run(self, x)


def conv(i, o, **options):
    return nn.Conv2d(i, o, 3, padding=1, **options)


def residual(net, x):
    return F.relu(x + net.norm(net.b(F.relu(net.a(x)))))


def with_norm():
    norm = nn.BatchNorm2d(4)
    (
        nn.init.uniform_(norm.weight, 0.5, 2),
        nn.init.uniform_(norm.running_var, 0.5, 2),
        nn.init.normal_(norm.running_mean),
    )
    return Net(residual, a=conv(4, 4), b=conv(4, 4, bias=False), norm=norm).eval()


def scaled(net, x):
    return x + (net.scale * net.a(x.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)


def in_place(net, x):
    made = net.norm(net.b(F.relu(net.a(x), inplace=True)))
    made += x
    return net.c(F.relu(made, inplace=True))


X = torch.randn(2, 4, 5, 6, generator=torch.Generator().manual_seed(0))
NETS = {
    "alone": (Net(lambda net, x: net.a(x), a=conv(4, 4)), "a.weight", None, "a.bias"),
    "before a norm": (with_norm(), "b.weight", 0, "norm.running_mean"),
    "scaled and moved": (
        Net(scaled, a=nn.Linear(4, 4), scale=nn.Parameter(torch.rand(4) + 0.5)), "a.weight", 0, "a.bias"
    ),
    "flattened": (
        Net(lambda net, x: net.a(x).flatten(2).transpose(1, 2) + x.flatten(2).transpose(1, 2), a=conv(4, 4)),
        "a.weight", 0, "a.bias",
    ),
    "used elsewhere too": (
        Net(lambda net, x: (y := net.a(x)) + x + F.relu(y), a=conv(4, 4)), "a.weight", None, "a.bias"
    ),
    "a sum that spreads": (
        Net(lambda net, x: net.a(x) + net.b, a=conv(4, 4), b=X[:1, :, :1, :1]), "a.weight", None, "a.bias"
    ),
    "before a norm alone": (
        Net(lambda net, x: F.relu(net.norm(net.a(x))), a=conv(4, 4, bias=False), norm=nn.BatchNorm2d(4)).eval(),
        "a.weight", None, "norm.running_mean",
    ),
    "before a norm and elsewhere": (
        Net(lambda net, x: net.norm(y := net.a(x)) * y, a=conv(4, 4, bias=False), norm=nn.BatchNorm2d(4)).eval(),
        "a.weight", None, None,
    ),
    "through an activation": (Net(lambda net, x: x + F.relu(net.a(x)), a=conv(4, 4)), "a.weight", None, "a.bias"),
}  # fmt: skip


@pytest.mark.parametrize(("net", "weight", "total", "shift"), NETS.values(), ids=NETS)
def test_a_layer_is_fitted_at_its_sum_or_behind_its_norm_or_alone(net, weight, total, shift):
    site = next(site for site in find_sites(net, lambda: net(X)) if site.weight == weight)
    assert (site.total is None) == (total is None)
    assert site.shift == shift
    assert site.is_mean == (shift == "norm.running_mean")
    assert (site.at == site.call) == (total is None and not site.is_mean)


@pytest.mark.parametrize("name", ["before a norm", "scaled and moved", "flattened"])
def test_an_error_of_the_sum_is_carried_back(name):
    net, weight, *_ = NETS[name]
    site = next(site for site in find_sites(net, lambda: net(X)) if site.weight == weight)
    calls = {}
    with torch.no_grad(), Watch(lambda call: (calls.setdefault(call.number, call), NotImplemented)[1]):
        net(X)
    made = calls[site.call].run()
    step = torch.randn(made.shape, generator=torch.Generator().manual_seed(1))
    before, after = made, made + step
    for number, side in site.chain:
        before, after = calls[number].run({side: before}), calls[number].run({side: after})
    error = after - before
    for number, side in reversed(site.chain):
        error = undone(calls[number], side, error)
    torch.testing.assert_close(error, step, atol=1e-5, rtol=1e-4)


def test_a_layer_that_runs_twice_is_left_alone():
    net = Net(lambda net, x: net.a(net.a(x)), a=conv(4, 4))
    assert find_sites(net, lambda: net(X)) == []


def test_both_layers_of_a_sum_are_fitted_there():
    net = Net(lambda net, x: net.a(x) + net.b(x), a=conv(4, 4), b=conv(4, 4))
    first, second = find_sites(net, lambda: net(X))
    assert first.at == second.at == 2
    assert (first.side, second.side) == (0, 1)


def test_sums_and_activations_in_place_are_followed():
    net = with_norm()
    net.run, net.c = in_place, conv(4, 4)
    sites = {site.weight: site for site in find_sites(net, lambda: net(X))}
    assert sites["b.weight"].total is not None
    assert sites["b.weight"].before == sites["a.weight"].call
    assert len(sites["b.weight"].path) == 1
    assert sites["c.weight"].before is None  # what it reads is a sum


@pytest.mark.parametrize(
    "between",
    [
        lambda net, y: y + F.relu(y),
        lambda net, y: F.relu(y).view(2, 4, 5, 6),
        lambda net, y: y.roll(1, 0),
        lambda net, y: F.relu(y) * net.b.weight.mean(),
    ],
    ids=["goes two ways", "of so many images", "mixes images", "takes what is computed"],
)
def test_no_layer_before_where_images_can_not_go_alone(between):
    net = Net(lambda net, x: net.b(between(net, net.a(x))), a=conv(4, 4), b=conv(4, 4))
    assert [site.before for site in find_sites(net, lambda: net(X))] == [None, None]


@pytest.mark.parametrize(
    ("after", "divisible"),
    [
        (lambda net, y: y * net.scale, True),
        (lambda net, y: y.flatten(1).view(-1, 4, 5, 6), True),
        (lambda net, y: y.view(2, 4, 5, 6), False),
    ],
    ids=["scaled", "in shape again", "of so many images"],
)
def test_some_images_are_enough_where_they_can_go_alone(after, divisible):
    net = Net(lambda net, x: x + after(net, net.a(x)), a=conv(4, 4), scale=nn.Parameter(torch.randn(4, 1, 1)))
    (site,) = find_sites(net, lambda: net(X))
    assert site.total is not None
    assert site.is_divisible == divisible
