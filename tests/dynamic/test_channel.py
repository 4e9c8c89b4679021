"""Channel gates: limits, mixed masks by brute force, counters, batch mates, state."""

import copy
import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from elastic.dynamic import heat_maps, in_all, reset, spent
from elastic.dynamic.channel import channel_gated, channel_gates, ungated
from elastic.dynamic.counting import counters
from elastic.dynamic_gating import channel_gating_of
from elastic.errors import InvalidRecipe, NothingToGate, UnknownName
from tests.dynamic.conftest import EXAMPLE, SEEN, small

GRAINS = ["pixel-channel", "pixel-block", "pixel", "channel"]


def gated(threshold=None, activation=None, network=None, **options):
    """Return a small network and one with gates, whose norms know some images; thresholds all alike if given."""
    model = network or small(activation)
    gating = channel_gating_of("paper", **{"layers": ("stem", "middle"), "block": 3, **options})
    found = channel_gated(model, EXAMPLE.double(), gating, [SEEN])
    for layer in channel_gates(found).values():
        if threshold is not None:
            layer.gate.threshold.data.fill_(threshold)
            if layer.gate.threshold_above is not None:
                layer.gate.threshold_above.data.fill_(-threshold)
    return model, found


@pytest.mark.parametrize("grain", GRAINS)
@pytest.mark.parametrize("norms", ["one", "two"])
@pytest.mark.parametrize("base", ["first", "strongest", "groups"])
def test_open_gates_are_the_dense_network_bit_for_bit(images, grain, norms, base):
    model, found = gated(-torch.inf, granularity=grain, norms=norms, base=base)
    assert torch.equal(found(images), model(images))
    assert all(each.open_share == 1 for each in spent(found).values())


def test_gates_of_two_sides_are_open_between_infinities(images):
    model, found = gated(-torch.inf, activation=nn.ReLU6())
    assert channel_gates(found)["stem"].gate.threshold_above is not None
    assert channel_gates(found)["middle"].gate.threshold_above is None
    assert torch.equal(found(images), model(images))


@pytest.mark.parametrize("grain", GRAINS)
def test_closed_gates_are_the_convolution_of_the_first_channels(images, grain):
    model, found = gated(torch.inf, layers=("middle",), granularity=grain)
    inputs = torch.relu(model.norm(model.stem(images)))
    pad = F.pad(inputs[:, :2], (1, 1, 1, 1), mode="reflect")
    wanted = F.conv2d(pad, model.middle.weight[:, :2], model.middle.bias, stride=2)
    assert torch.equal(found.middle(inputs), wanted)
    assert spent(found)["middle"].opened == 0


def test_the_strongest_channels_are_those_that_vary_most_behind_their_weights(images):
    model = small()
    model.middle.weight.data[:, [3, 6]] *= 9
    _, found = gated(torch.inf, network=model, layers=("middle",), base="strongest")
    assert channel_gates(found)["middle"].gate.read.tolist() == [3, 6]
    inputs = torch.relu(model.norm(model.stem(images)))
    pad = F.pad(inputs[:, [3, 6]], (1, 1, 1, 1), mode="reflect")
    wanted = F.conv2d(pad, model.middle.weight[:, [3, 6]], model.middle.bias, stride=2)
    assert torch.equal(found.middle(inputs), wanted)
    assert spent(found)["middle"].spent * 4 == spent(found)["middle"].dense


@pytest.mark.parametrize("shuffle", [False, True])
def test_closed_gates_of_groups_are_the_grouped_convolution(images, shuffle):
    model, found = gated(torch.inf, layers=("stem",), base="groups", norms="one", shuffle=shuffle)
    weight, order = model.stem.weight, torch.arange(8)
    order = torch.cat([order[i::4] for i in range(4)]) if shuffle else order
    blocks = torch.stack([weight[o, order[o // 2 * 2 : o // 2 * 2 + 2]] for o in range(8)])
    wanted = F.conv2d(images[:, order], blocks, model.stem.bias, padding=1, groups=4)
    assert torch.equal(found.stem(images), wanted)


def by_brute_force(model, layer, images, activation, grain, above=None):
    """Return what the stem makes with two norms, by loops over images, channels and pixels, and how many are open."""
    gate = layer.gate
    full = model.norm(model.stem(images)).tolist()
    base = F.conv2d(images[:, :2], model.stem.weight[:, :2], model.stem.bias, padding=1).tolist()
    means, variances = gate.norm.running_mean.tolist(), gate.norm.running_var.tolist()
    thresholds, scales, shifts = gate.threshold.tolist(), gate.scale.tolist(), gate.shift.tolist()
    made, count = [], 0
    for n, c, y, x in itertools.product(range(len(images)), range(8), range(6), range(6)):
        at = (n, c, y, x)
        mates = {
            "pixel-channel": [at],
            "pixel-block": [(n, k, y, x) for k in range(c // 3 * 3, min(8, c // 3 * 3 + 3))],
            "pixel": [(n, k, y, x) for k in range(8)],
            "channel": [(n, c, i, j) for i in range(6) for j in range(6)],
        }[grain]
        normed = {
            (n, k, i, j): (base[n][k][i][j] - means[k]) / (variances[k] + gate.norm.eps) ** 0.5
            for n, k, i, j in {*mates, at}
        }
        is_open = sum(normed[mate] - thresholds[mate[1]] for mate in mates) / len(mates) > 0
        is_open = is_open and (above is None or normed[at] < above[c])
        count += is_open
        made.append(full[n][c][y][x] if is_open else normed[at] * scales[c] + shifts[c])
    return activation(torch.tensor(made, dtype=torch.float64).view(len(images), 8, 6, 6)), count


@pytest.mark.parametrize("grain", GRAINS)
def test_mixed_gates_do_what_loops_do(images, grain):
    model, found = gated(layers=("stem",), granularity=grain)
    nn.init.normal_(channel_gates(found)["stem"].gate.threshold, std=0.3)
    few = images[:2]
    wanted, count = by_brute_force(model, channel_gates(found)["stem"], few, torch.relu, grain)
    reset(found)
    torch.testing.assert_close(found.act(found.norm(found.stem(few))), wanted)
    assert spent(found)["stem"].opened == count
    assert 0 < count < wanted.numel()


def test_mixed_gates_of_two_sides_do_what_loops_do(images):
    model, found = gated(layers=("stem",), activation=nn.ReLU6(), begin=-0.5, begin_above=0.7)
    layer, few = channel_gates(found)["stem"], images[:2]
    above = layer.gate.threshold_above.tolist()
    wanted, count = by_brute_force(model, layer, few, F.relu6, "pixel-channel", above)
    torch.testing.assert_close(found.act(found.norm(found.stem(few))), wanted)
    assert spent(found)["stem"].opened == count


def test_one_norm_chooses_among_sums_before_it(images):
    model, found = gated(layers=("stem",), norms="one")
    layer = channel_gates(found)["stem"]
    base, full = layer.base_sums(images), model.stem(images)
    d = (layer.gate.norm(base) > layer.gate.threshold[:, None, None]).double()
    torch.testing.assert_close(found.stem(images), d * full + (1 - d) * base)


@pytest.mark.parametrize("split", [[5], [2, 3], [1, 1, 1, 1, 1]])
@pytest.mark.parametrize("grain", GRAINS)
def test_counters_are_a_recount_for_any_batches(images, split, grain):
    _, found = gated(granularity=grain)
    recount = dict.fromkeys(counters(found), 0)
    reset(found)
    for batch in images.split(split):
        found(batch)
        for name, each in counters(found).items():
            shape = (len(batch), 8, 6, 6) if name == "stem" else (len(batch), 12, 3, 3)
            recount[name] += int(each.last.expand(shape).sum())
    whole = spent(found)
    assert {name: each.opened for name, each in whole.items()} == recount
    assert whole["middle"].dense == 5 * 12 * 9 * 72
    assert whole["middle"].spent == 5 * 12 * 9 * 18 + recount["middle"] * 54
    total = in_all(whole, elsewhere=1000)
    assert (total.images, total.dense) == (5, 5 * (8 * 36 * 72 + 12 * 9 * 72 + 1000))
    assert total.share == pytest.approx((sum(each.spent for each in whole.values()) + 5000) / total.dense)


@pytest.mark.parametrize("grain", GRAINS)
def test_an_image_does_not_depend_on_its_batch_mates(images, grain):
    _, found = gated(granularity=grain, coarse=0.4)
    alone = torch.cat([found(image[None]) for image in images])
    torch.testing.assert_close(found(torch.cat([images, 50 * images]))[:5], alone)


def test_training_counts_nothing_and_tells_the_share(images):
    _, found = gated()
    reset(found)
    found.train()(images)
    each = counters(found)["stem"]
    assert not each.positions
    assert float(each.share.detach()) == pytest.approx(float(each.last.double().mean()))


def test_thresholds_learn_by_the_slope_of_the_sigmoid(images):
    _, found = gated(layers=("middle",), norms="one")
    layer = channel_gates(found)["middle"]
    inputs = torch.relu(images)
    upstream = torch.randn_like(layer(inputs))
    (layer(inputs) * upstream).sum().backward()
    with torch.no_grad():
        base, full = layer.base_sums(inputs), layer._conv_forward(inputs, layer.weight, layer.bias)
        soft = torch.sigmoid(2 * (layer.gate.norm(base) - layer.gate.threshold[:, None, None]))
        wanted = -(upstream * (full - base) * 2 * soft * (1 - soft)).sum((0, 2, 3))
    torch.testing.assert_close(layer.gate.threshold.grad, wanted)


def test_only_gates_are_new_in_the_state_dict():
    model, found = gated()
    added = set(found.state_dict()) - set(model.state_dict())
    assert set(model.state_dict()) <= set(found.state_dict())
    assert {name.split(".")[1] for name in added} == {"gate"}
    assert "stem.gate.threshold" in added


def test_without_gates_it_is_the_network_that_it_was(images):
    model, found = gated()
    plain = ungated(found)
    assert set(plain.state_dict()) == set(model.state_dict())
    assert torch.equal(plain(images), model(images))
    assert type(plain.stem) is nn.Conv2d


def test_a_copy_chooses_by_its_own_gates(images):
    _, found = gated()
    found.train()(images)
    other = copy.deepcopy(found).eval()
    before = found.eval()(images)
    other.stem.gate.threshold.data.fill_(torch.inf)
    assert not torch.allclose(other(images), before)
    assert torch.equal(found(images), before)


def test_norms_that_decide_have_the_statistics_of_the_images():
    batches = SEEN.split(5)
    found = channel_gated(small(), EXAMPLE.double(), channel_gating_of(layers=("stem",)), batches)
    layer = channel_gates(found)["stem"]
    with torch.no_grad():
        means = torch.stack([layer.base_sums(batch).mean((0, 2, 3)) for batch in batches]).mean(0)
    torch.testing.assert_close(layer.gate.norm.running_mean, means)
    assert layer.gate.norm.momentum == 0.1


def test_heat_is_the_share_that_was_computed(images):
    _, found = gated(layers=("stem",))
    heat = heat_maps(found, images)
    torch.testing.assert_close(heat, counters(found)["stem"].last.float().mean(1))
    _, found = gated(-torch.inf)
    assert torch.equal(heat_maps(found, images), torch.ones(5, 6, 6))


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"layers": ("sten",)}, UnknownName, "no convolution is called 'sten'"),
        ({"layers": ("stem",), "parts": 9}, NothingToGate, "8 input channels are fewer than 9 parts"),
        ({"layers": ("last",), "base": "groups", "parts": 3}, NothingToGate, "12 to 4, have no 3 groups"),
        ({"parts": 13}, NothingToGate, "no convolution of Small can have gates"),
    ],
)
def test_what_can_not_have_gates_is_refused(options, error, match):
    with pytest.raises(error, match=match):
        channel_gated(small(), EXAMPLE.double(), channel_gating_of(**options))


def test_a_network_without_gates_has_spent_nothing():
    with pytest.raises(NothingToGate, match="no dynamic gates"):
        spent(small())


def test_a_granularity_that_is_none_is_refused():
    with pytest.raises(InvalidRecipe, match="granularity='image'"):
        channel_gating_of(granularity="image")
