"""Repair: what was cut can be made good as far as what stays can say it."""

import numpy as np
import pytest
import torch
from torch import nn

import elastic
from elastic.errors import DataError, NothingToPrune
from elastic.fitting import fitted
from elastic.recovery import reestimate_norms, repair
from elastic.recovery.memory import peak_of
from tests.networks import EVERY, WIRINGS


def halved(plan):
    """Return levels by which each group loses every other of its units."""
    levels = np.zeros(plan.units, np.uint8)
    for group in plan.groups:
        levels[group.units[1::2]] = 1
    return levels


def cut_network(model, plan, levels):
    state = elastic.cut(model.state_dict(), plan, levels)
    return fitted(model, state, plan.sizes(levels))


def images(example, count=16, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, *example.shape[1:], generator=generator)


def error(model, whole, inputs):
    with torch.no_grad():
        return float((model.eval()(inputs) - whole.eval()(inputs)).square().mean())


def repeated():
    """Return a network in which each channel is there twice, so that half of them can say all."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 5, 3), nn.Flatten())
    for tensor in (net[0].weight, net[1].weight, net[1].bias):
        tensor.data = tensor.data[::2].repeat_interleave(2, 0)
    return net.eval()


def test_what_others_can_say_is_made_good_to_rounding():
    model, example = repeated(), torch.randn(1, 3, 6, 6)
    plan = elastic.trace(model, example)
    levels = halved(plan)
    small = cut_network(model, plan, levels)
    x = images(example)
    assert error(small, model, x) > 1e-3
    done = repair(small, model, plan, levels, x, strength=1e-9)
    assert error(small, model, x) < 1e-9
    assert [fit.weight for fit in done.fits] == ["3.weight"]  # the first layer's inputs and outputs are what they were


def test_a_network_that_lost_nothing_stays_bit_for_bit():
    model, example = repeated(), torch.randn(1, 3, 6, 6)
    plan = elastic.trace(model, example)
    levels = np.zeros(plan.units, np.uint8)
    small = cut_network(model, plan, levels)
    assert repair(small, model, plan, levels, images(example)).fits == ()
    assert all(torch.equal(a, b) for a, b in zip(small.state_dict().values(), model.state_dict().values(), strict=True))


class Blocks(nn.Module):
    """Three residual blocks and a head that takes its images' values in the order in which memory has them."""

    def __init__(self, count=3):
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(4, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 3, padding=1)) for _ in range(count)
        )
        self.head = nn.Linear(4 * 6 * 6, 3)

    def forward(self, x):
        for block in self.blocks:
            x = x + block(x)
        return self.head(x.view(len(x), -1))


@pytest.mark.parametrize("positions", [8, 131_072], ids=["on some images", "on all images"])
def test_layers_before_the_first_that_lost_something_stay_bit_for_bit(positions):
    torch.manual_seed(0)
    model, example = Blocks(), torch.randn(1, 4, 6, 6)
    plan = elastic.trace(model, example)
    levels = np.zeros(plan.units, np.uint8)
    levels[plan.groups[1].units[1::2]] = 1
    small = cut_network(model, plan, levels)
    done = repair(small, model, plan, levels, images(example, 100), positions=positions)
    assert "blocks.1.2.weight" in {fit.weight for fit in done.fits}
    assert all(
        torch.equal(a, b) for a, b in zip(small.blocks[0].parameters(), model.blocks[0].parameters(), strict=True)
    )


def test_the_whole_network_is_left_as_it_was():
    model, example = repeated().train(), torch.randn(1, 3, 6, 6)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    plan = elastic.trace(model, example)
    levels = halved(plan)
    repair(cut_network(model, plan, levels), model, plan, levels, images(example))
    assert model.training
    assert all(p.requires_grad for p in model.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_the_same_seed_gives_the_same_weights():
    model, example = repeated(), torch.randn(1, 3, 6, 6)
    plan = elastic.trace(model, example)
    levels = halved(plan)
    one, two = (cut_network(model, plan, levels) for _ in range(2))
    for network in (one, two):
        repair(network, model, plan, levels, images(example), positions=20, seed=3)
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))


@pytest.mark.parametrize("name", ["residual", "projected_residual"])
def test_a_residual_network_is_nearer_to_what_it_was(name):
    torch.manual_seed(0)
    model, example = WIRINGS[name].make().eval(), WIRINGS[name].example()
    plan = elastic.trace(model, example)
    levels = halved(plan)
    small = cut_network(model, plan, levels)
    x = images(example, 64)
    before = error(small, model, x)
    repair(small, model, plan, levels, x)
    assert error(small, model, x) < 0.7 * before


def batched(name):
    """Return a wiring's model, its plan and a batch, where it takes one."""
    torch.manual_seed(0)
    model, example = EVERY[name].make().eval(), EVERY[name].example()
    if not isinstance(example, torch.Tensor) or not example.is_floating_point():
        pytest.skip("takes no batch of images")
    inputs = images(example)
    try:
        with torch.no_grad():
            model(inputs)
        plan = elastic.trace(model, example)
    except (RuntimeError, ValueError, TypeError, AssertionError, NothingToPrune) as reason:
        pytest.skip(f"takes no batch, or has nothing to cut: {reason}")
    return model, plan, inputs


@pytest.mark.filterwarnings("ignore:input's size at dim=1 does not match num_features")
@pytest.mark.parametrize("name", EVERY)
def test_no_layer_of_any_network_is_further_from_what_is_wanted(name):
    model, plan, inputs = batched(name)
    levels = halved(plan)
    small = cut_network(model, plan, levels)
    done = repair(small, model, plan, levels, inputs)
    assert all(fit.after <= fit.before * (1 + 1e-6) + 1e-9 for fit in done.fits)
    assert all(tensor.isfinite().all() for tensor in small.state_dict().values() if tensor.is_floating_point())


def stacked():
    """Return convolutions without biases and their norms, one after the other, with statistics of `images`."""
    torch.manual_seed(0)
    net = nn.Sequential()
    for channels in (3, 8, 8, 8):
        net.extend([nn.Conv2d(channels, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU()])
        nn.init.uniform_(net[-2].weight, 0.3, 2.0)
        nn.init.normal_(net[-2].bias)
    net.extend([nn.Flatten(), nn.Linear(8 * 4 * 4, 5)])
    example = torch.randn(1, 3, 12, 12)
    reestimate_norms(net, [images(example, 64)])
    return net.eval(), example


@pytest.mark.parametrize("memory", [None, 1 << 20], ids=["at once", "in parts"])
def test_a_second_repair_adds_nothing_to_means_that_have_taken_their_constants(memory):
    model, example = stacked()
    plan = elastic.trace(model, example)
    levels = halved(plan)
    small, inputs = cut_network(model, plan, levels), images(example, 64)
    before, errors = error(small, model, inputs), []
    for _ in range(2):
        done = repair(small, model, plan, levels, inputs, rounds=0, memory=memory)
        errors.append(error(small, model, inputs))
    assert (done.parts > 1) == (memory is not None)
    assert errors[0] < 0.3 * before
    assert errors[1] < 1.02 * errors[0]


def test_rounds_take_error_away():
    model, example = stacked()
    plan = elastic.trace(model, example)
    levels = halved(plan)
    inputs, errors = images(example, 64), []
    for rounds in (0, 1, 2, 4):
        small = cut_network(model, plan, levels)
        repair(small, model, plan, levels, inputs, rounds=rounds)
        errors.append(error(small, model, inputs))
    assert errors[1] < 0.5 * errors[0]
    assert errors[2] < 0.7 * errors[1]  # 0.46 to 0.59 with four seeds
    assert errors[3] < 0.5 * errors[2]


@pytest.mark.parametrize("rounds", [0, 2])
def test_channels_that_a_norm_makes_constant_keep_their_weights(rounds):
    model, example = stacked()
    with torch.no_grad():
        model[4].weight[::4] = 0
    plan = elastic.trace(model, example)
    levels = halved(plan)
    small, inputs = cut_network(model, plan, levels), images(example, 64)
    before, weight = error(small, model, inputs), small[3].weight.clone()
    repair(small, model, plan, levels, inputs, rounds=rounds)
    assert torch.equal(small[3].weight[0], weight[0])
    assert not torch.equal(small[3].weight[1], weight[1])
    assert error(small, model, inputs) < 0.3 * before


def test_progress_counts_every_layer():
    model, example = repeated(), torch.randn(1, 3, 6, 6)
    plan = elastic.trace(model, example)
    levels, seen = halved(plan), []
    repair(cut_network(model, plan, levels), model, plan, levels, images(example), progress=lambda *at: seen.append(at))
    assert seen == [(1, 2), (2, 2)]


def test_inputs_of_another_shape_are_refused():
    model, example = repeated(), torch.randn(1, 3, 6, 6)
    plan = elastic.trace(model, example)
    levels = halved(plan)
    with pytest.raises(DataError, match=r"can't be run on inputs of \[4, 2, 6, 6\]"):
        repair(cut_network(model, plan, levels), model, plan, levels, torch.randn(4, 2, 6, 6))


def test_more_images_than_fit_are_taken_in_parts():
    model, example = repeated(), torch.randn(1, 3, 6, 6)
    plan = elastic.trace(model, example)
    levels = halved(plan)
    small = cut_network(model, plan, levels)
    x, held_out = images(example), images(example, seed=1)
    cut = peak_of(lambda: small(example))
    each = 2 * (peak_of(lambda: model(example)).activations + cut.activations)
    fixed = 3 * max(cut.products) + sum(cut.products)
    before, seen = error(small, model, held_out), []
    done = repair(small, model, plan, levels, x, memory=fixed + 6 * each, progress=lambda *at: seen.append(at))
    assert (done.images, done.parts) == (len(x), 3)
    assert seen[-1] == (6, 6)
    assert error(small, model, held_out) < before
    with pytest.raises(
        DataError, match=r"one input of \[3, 6, 6\] at a time needs [\d.]+ kB: .*the limit is [\d.]+ kB"
    ):
        repair(small, model, plan, levels, x, memory=fixed + each // 2)


def test_the_peak_is_of_what_is_alive_at_once():
    net = nn.Sequential(nn.Linear(4, 100), nn.ReLU(inplace=True), nn.Linear(100, 50), nn.Linear(50, 2))
    peak = peak_of(lambda: net(torch.zeros(10, 4)))
    assert peak.activations == 10 * (4 + 100 + 50) * 4
    assert peak.products == tuple(8 * columns**2 for columns in (5, 101, 51))


def test_norms_get_the_statistics_of_the_images():
    model, x = repeated(), torch.randn(32, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    model[1].momentum = 0.2
    assert reestimate_norms(model, [x]) == 1
    made = model[0](x)
    torch.testing.assert_close(model[1].running_mean, made.mean((0, 2, 3)), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(model[1].running_var, made.var((0, 2, 3)), atol=1e-5, rtol=1e-4)
    assert (model[1].momentum, model.training) == (0.2, False)


def test_batches_count_by_their_sizes():
    norm = nn.BatchNorm2d(3)
    x = torch.randn(10, 3, 4, 4)
    reestimate_norms(norm, [x[:7], x[7:9], x[9:]])
    torch.testing.assert_close(norm.running_mean, x.mean((0, 2, 3)))
