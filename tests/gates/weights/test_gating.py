"""The whole of it: gates are trained, zeros are baked, tuned around, cut and saved."""

import copy
import json

import pytest
import torch
from torch import nn
from torch.utils.data import Dataset, Subset

import elastic
from elastic.checkpoint import load
from elastic.data import Preprocessing, evaluate, images_loader
from elastic.data import load as load_data
from elastic.errors import InvalidRecipe, TargetError, TrainingMismatch, UnknownName
from elastic.gates import OPENINGS
from elastic.metadata import read_header
from elastic.proofs import same_bits
from elastic.recipes import Recipe
from elastic.training import train

EXAMPLE = torch.zeros(1, 1, 8, 8)
PREPROCESSING = Preprocessing.default("elastic/digits_resnet")


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(128, 32), nn.ReLU(), nn.Linear(32, 10),
    )  # fmt: skip


def recipe(**options):
    how = {"epochs": 6, "batch": 32, "shift": 1, "mirror": False, "optimiser": "adamw", "learning_rate": 0.005}
    return Recipe(**how | options)


@pytest.fixture(scope="module")
def digits():
    return load_data("digits", train=True, preprocessing=PREPROCESSING)


@pytest.fixture(scope="module")
def held_out():
    return load_data("digits", train=False, preprocessing=PREPROCESSING)


@pytest.fixture(scope="module")
def few(digits):
    return Subset(digits, range(160))


@pytest.fixture(scope="module")
def trained(digits):
    model = network()
    train(model, digits, recipe())
    return model


@pytest.fixture(scope="module")
def done(trained, digits, held_out):
    def top1(net, stage):
        return evaluate(net, images_loader(held_out, 360)).top1

    return elastic.gate_weights(
        trained, EXAMPLE, digits, recipe(), target=0.9, opening="sigmoid", fine_tune=recipe(epochs=3), measure=top1
    )


def test_nine_weights_in_ten_are_exactly_zero_and_the_network_is_as_good(done, trained, held_out):
    assert done.sparsity.overall >= 0.9
    weights = [done.network.get_parameter(name) for name in done.sparsity.layers]
    assert sum(int((weight == 0).sum()) for weight in weights) == done.sparsity.zeros
    dense = evaluate(trained, images_loader(held_out, 360)).top1
    assert done.measured["fine-tuned"] > dense - 3 > 90


def test_all_stages_are_measured_and_the_cut_is_the_tuned_network(done, held_out):
    assert list(done.measured) == ["soft", "hard", "fine-tuned", "cut"]
    assert done.measured["cut"] == done.measured["fine-tuned"]
    assert evaluate(done.cut, images_loader(held_out, 360)).top1 == done.measured["cut"]


def test_the_histogram_holds_every_gate(done):
    assert sum(done.histogram.counts) == done.sparsity.weights == 72 + 4096 + 320
    assert (done.histogram.edges[0], done.histogram.edges[-1]) == (0.0, 1.0)
    assert len(done.histogram.edges) == len(done.histogram.counts) + 1


def test_each_epoch_tells_of_the_gates(done):
    assert [epoch.epoch for epoch in done.gating] == list(range(1, 7))
    assert done.gating[0].told["sparsity_soft"] < done.gating[-1].told["sparsity_soft"]
    assert done.gating[-1].told["sparsity_hard"] > 0.5
    assert len(done.tuning) == 3


def test_the_network_is_plain_and_the_model_is_as_it_was(done, trained):
    again = copy.deepcopy(trained)
    assert all(type(module).__module__.startswith("torch.nn.modules") for module in done.network.modules())
    assert list(done.network.state_dict()) == list(again.state_dict())
    assert done.whole is trained


def test_its_file_holds_the_model_bit_for_bit_and_the_sparse_cut_network(done, trained, tmp_path):
    path = tmp_path / "net.safetensors"
    done.save(path)
    header = read_header(path)
    assert [level.name for level in header.levels] == [f"zeros={done.sparsity.overall:.1%}", "full"]
    assert header.levels[0].metrics["fine-tuned"] == done.measured["fine-tuned"]
    assert header.recipe["gated"]["target"] == 0.9
    assert header.recipe["gated"]["error"] < 1e-12
    json.dumps(dict(header.recipe))
    for level, wanted in ((0, done.cut), (1, trained)):
        found = load(path, level, model=network()).state_dict()
        assert all(same_bits(found[name], tensor) for name, tensor in wanted.state_dict().items())


def test_a_network_in_which_all_units_stay_is_saved_too(trained, few, tmp_path):
    found = elastic.gate_weights(trained, EXAMPLE, few, recipe(epochs=1), strength=0.0)
    assert not found.levels.any()
    found.save(tmp_path / "net.safetensors")
    state = load(tmp_path / "net.safetensors", 0, model=network()).state_dict()
    assert all(same_bits(state[name], tensor) for name, tensor in found.network.state_dict().items())
    whole = load(tmp_path / "net.safetensors", model=network()).state_dict()
    assert all(same_bits(whole[name], tensor) for name, tensor in trained.state_dict().items())


@pytest.mark.parametrize("opening", OPENINGS)
def test_what_is_measured_as_hard_is_what_is_finalised(trained, few, opening):
    weights, made = {}, {}
    images = torch.stack([image for image, _ in few])

    def look(net, stage):
        weights[stage] = torch.cat([net.get_submodule(name).weight.detach().flatten() for name in ("0", "5", "7")])
        made[stage] = net(images).detach()

    found = elastic.gate_weights(trained, EXAMPLE, few, recipe(epochs=1), target=0.5, opening=opening, measure=look)
    stays = weights["hard"] != 0
    assert torch.equal(weights["hard"][stays], weights["soft"][stays])
    assert 0.5 <= 1 - float(stays.float().mean()) <= found.sparsity.overall
    assert not torch.equal(made["hard"], made["soft"]) or opening == "binary"
    if not found.levels.any():
        assert torch.equal(made["hard"], made["cut"])


def test_shuffled_labels_teach_nothing(digits, held_out):
    class Shuffled(Dataset):
        def __init__(self):
            self.labels = torch.randint(10, (len(digits),), generator=torch.Generator().manual_seed(0)).tolist()

        def __len__(self):
            return len(digits)

        def __getitem__(self, number):
            return digits[number][0], self.labels[number]

    found = elastic.gate_weights(
        network(), EXAMPLE, Shuffled(), recipe(epochs=3), target=0.8, fine_tune=recipe(epochs=1)
    )
    assert evaluate(found.cut, images_loader(held_out, 360)).top1 < 20


class Killed(Exception):
    pass


@pytest.mark.parametrize("opening", ["sigmoid", "hard-concrete"])
@pytest.mark.parametrize(("phase", "step"), [("gates", 3), ("gates", 12), ("tune", 2), ("tune", 8)])
def test_what_was_killed_in_either_phase_ends_with_the_same_network(trained, few, tmp_path, opening, phase, step):
    how = {"target": 0.7, "opening": opening, "fine_tune": recipe(epochs=2, average=0.8)}
    wanted = elastic.gate_weights(trained, EXAMPLE, few, recipe(epochs=3), **how)
    told = []

    def stop(moment):
        told.append(moment)
        if len(told) == step + (15 if phase == "tune" else 0):
            raise Killed

    files = {"keep": tmp_path / "x.training", "log": tmp_path / "x.jsonl"}
    with pytest.raises(Killed):
        elastic.gate_weights(trained, EXAMPLE, few, recipe(epochs=3), training={**files, "progress": stop}, **how)
    found = elastic.gate_weights(trained, EXAMPLE, few, recipe(epochs=3), training=files, **how)
    assert {path.name for path in tmp_path.iterdir()} == {
        "x.gates.training", "x.tune.training", "x.gates.jsonl", "x.tune.jsonl",
    }  # fmt: skip
    for one, other in ((found.network, wanted.network), (found.cut, wanted.cut)):
        assert all(same_bits(tensor, other.state_dict()[name]) for name, tensor in one.state_dict().items())
    assert [epoch.told for epoch in found.gating] == [epoch.told for epoch in wanted.gating]
    assert found.histogram == wanted.histogram


def test_another_strength_does_not_go_on_with_what_was_begun(trained, few, tmp_path):
    files = {"keep": tmp_path / "x.training"}
    elastic.gate_weights(trained, EXAMPLE, few, recipe(epochs=1), strength=1e-5, training=files)
    with pytest.raises(TrainingMismatch, match="other targets, or other settings of what is trained"):
        elastic.gate_weights(trained, EXAMPLE, few, recipe(epochs=1), strength=1e-4, training=files)


def test_only_the_layers_that_are_asked_for_are_sparse(trained, few):
    found = elastic.gate_weights(trained, EXAMPLE, few, recipe(epochs=1), layers=["5"], target=0.5)
    assert list(found.sparsity.layers) == ["5.weight"]
    assert (found.network[0].weight != 0).all()


def test_weights_of_half_precision_stay_so(trained, few):
    half = copy.deepcopy(trained).bfloat16()
    found = elastic.gate_weights(half, EXAMPLE, few, recipe(epochs=1), target=0.5)
    assert {p.dtype for net in (found.network, found.cut) for p in net.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize(
    ("how", "error", "told"),
    [
        ({"target": 90.0}, TargetError, "90 is no share of the weights"),
        ({"recipe": recipe(patience=1)}, InvalidRecipe, "patience ends a training early"),
        ({"layers": ["fc"]}, UnknownName, "no linear layer or convolution is called 'fc'"),
        ({"opening": "soft"}, UnknownName, "unknown opening 'soft'"),
        ({"target": 0.9, "strength": 1e-5}, InvalidRecipe, "a target of 0.9 finds its strength, but 1e-05 was given"),
        ({"per": "bytes"}, UnknownName, "unknown price 'bytes'"),
    ],
    ids=["target", "patience", "layers", "opening", "both", "price"],
)
def test_what_can_not_be_done_is_refused_before_training(trained, few, how, error, told):
    with pytest.raises(error, match=told):
        elastic.gate_weights(trained, EXAMPLE, few, **{"recipe": recipe(epochs=10**6), **how})
