import copy
import math

import pytest
import torch
from torch import nn
from torch.utils.data import Subset, TensorDataset

from elastic import models
from elastic.data import Preprocessing, evaluate, images_loader, load
from elastic.errors import DataError, FileFormatError, InvalidRecipe, TrainingMismatch
from elastic.proofs import same_bits
from elastic.training import Hook, Recipe, loop, norm_parameters, train

NETWORK = "elastic/digits_resnet"


@pytest.fixture(scope="module")
def digits():
    return load("digits", train=True, preprocessing=Preprocessing.default(NETWORK))


@pytest.fixture(scope="module")
def held_out():
    return load("digits", train=False, preprocessing=Preprocessing.default(NETWORK))


@pytest.fixture
def few(digits):
    return Subset(digits, range(100))


@pytest.fixture
def model():
    torch.manual_seed(0)
    return models.build(NETWORK)


def small():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Dropout(0.2), nn.Flatten(), nn.Linear(108, 10)
    )


def recipe(**options):
    return Recipe(**{"epochs": 1, "shift": 1, "mirror": False} | options)


def trained(model, images, *, how=None, **options):
    found = copy.deepcopy(model)
    train(found, images, recipe(**how or {}), **options)
    return found


def is_same(one, other):
    states = one.state_dict(), other.state_dict()
    return all(same_bits(states[0][name], states[1][name]) for name in states[0])


def test_a_few_epochs_are_much_better_than_chance(model, digits, held_out):
    found = trained(model, digits, how={"epochs": 5})
    assert evaluate(found, images_loader(held_out, 360)).top1 > 80
    assert not found.training


@pytest.mark.parametrize(
    "how",
    [
        {"optimiser": "adamw", "learning_rate": 0.01, "schedule": "cosine"},
        {"schedule": "step", "warm_up": 0.1},
        {"mix": "mixup"},
        {"mix": "cutmix"},
        {"average": 0.9},
    ],
    ids=["adamw", "drops", "mixup", "cutmix", "average"],
)
def test_other_recipes_learn_too(model, digits, held_out, how):
    found = trained(model, digits, how={"epochs": 5} | how)
    assert evaluate(found, images_loader(held_out, 360)).top1 > 60


def test_the_same_seed_gives_the_same_weights(few):
    assert is_same(trained(small(), few), trained(small(), few))


def test_another_seed_gives_other_weights(few):
    one, other = (trained(small(), few, how={"seed": seed}) for seed in (0, 1))
    assert not torch.equal(one[0].weight, other[0].weight)


def test_the_random_numbers_of_others_go_on_as_before(few):
    torch.manual_seed(3)
    wanted = torch.rand(2)
    torch.manual_seed(3)
    trained_model = small()
    torch.manual_seed(3)
    train(trained_model, few, recipe())
    assert torch.equal(torch.rand(2), wanted)


def test_only_the_given_parameters_are_trained(few):
    model = small()
    before = copy.deepcopy(model.state_dict())
    train(model, few, recipe(), parameters=norm_parameters(model))
    changed = {name for name, tensor in model.named_parameters() if not same_bits(before[name], tensor)}
    # A bias in front of a norm has a gradient of rounding errors alone, which may be exactly zero.
    assert changed | {"0.bias"} == {name for name, tensor in model.named_parameters() if tensor.dim() <= 1}
    assert all(tensor.requires_grad for tensor in model.parameters())


def test_norms_estimate_their_statistics_anew_while_others_are_trained(few):
    model = small()
    before = model[1].running_mean.clone()
    train(model, few, recipe(), parameters=[model[5].bias])
    assert not torch.equal(before, model[1].running_mean)


def test_norm_parameters_are_weights_and_biases_of_norms_and_biases_of_layers(model):
    names = {id(tensor): name for name, tensor in model.named_parameters()}
    found = {names[id(tensor)] for tensor in norm_parameters(model)}
    assert "fc.bias" in found
    assert not any("conv" in name for name in found)
    assert {name for name in names.values() if "bn" in name} <= found


def test_progress_counts_every_step(digits):
    seen = []
    train(small(), digits, recipe(epochs=2, batch=500), progress=seen.append)
    steps = 2 * math.ceil(len(digits) / 500)
    assert [(moment.done, moment.total) for moment in seen] == [(step, steps) for step in range(1, steps + 1)]


def test_trackers_are_told_each_epoch(few, tmp_path):
    log = tmp_path / "net.jsonl"
    train(small(), few, recipe(epochs=2), log=log, trackers=["tensorboard"])
    events = [
        path for path in (tmp_path / "runs" / "net").rglob("*tfevents*") if b"images_per_second" in path.read_bytes()
    ]
    assert len(events) == 1
    assert events[0].read_bytes().count(b"images_per_second") == 2


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"trackers": ["paper"], "log": "net.jsonl"}, "tracker 'paper' is not there; install its package"),
        ({"trackers": ["tensorboard"]}, "trackers need a log"),
    ],
    ids=["no such tracker", "no log"],
)
def test_trackers_that_can_not_be_told_are_refused(few, how, reason):
    with pytest.raises(InvalidRecipe, match=reason):
        train(small(), few, recipe(), **how)


def test_progress_tells_the_means_of_the_epoch(digits):
    seen = []
    (epoch,) = train(small(), digits, recipe(batch=500), progress=seen.append)
    assert (seen[-1].loss, seen[-1].top1) == (epoch.loss, epoch.top1)
    assert seen[0].images_per_second > 0


def test_each_epoch_is_told(digits, held_out):
    told = []
    found = train(small(), digits, recipe(epochs=4), validation=held_out, report=told.append)
    assert tuple(told) == found
    assert [epoch.epoch for epoch in found] == [1, 2, 3, 4]
    assert found[-1].loss < found[0].loss
    assert found[-1].top1 > found[0].top1
    assert found[-1].validation_top1 > found[0].validation_top1


def test_the_weights_that_were_best_on_held_out_images_are_taken(few, held_out):
    model = small()
    found = train(model, few, recipe(epochs=8, learning_rate=2.0), validation=held_out)
    best = max(epoch.validation_top1 for epoch in found)
    assert best > found[-1].validation_top1  # else this would show nothing
    assert evaluate(model, images_loader(held_out, 360)).top1 == best


def test_it_ends_early_where_nothing_gets_better(few, held_out):
    found = train(small(), few, recipe(epochs=50, learning_rate=1e-9, patience=3), validation=held_out)
    assert len(found) == 4


def test_steps_can_be_followed_by_what_the_caller_does(few):
    model = small()

    class Zero(Hook):
        def after_step(self):
            with torch.no_grad():
                model[0].weight[0] = 0

    train(model, few, recipe(), hook=Zero())
    assert not model[0].weight[0].any()
    assert model[0].weight[1].any()


def test_what_the_caller_does_can_end_it_after_an_epoch_and_it_stays_over(few, tmp_path):
    class Enough(Hook):
        def after_epoch(self, epoch, epochs):
            self.is_over = epoch == 2
            return {}

    model, again = small(), small()
    assert len(train(model, few, recipe(epochs=5), hook=Enough(), keep=tmp_path / "n.training")) == 2
    assert len(train(again, few, recipe(epochs=5), hook=Enough(), keep=tmp_path / "n.training")) == 2
    assert is_same(model, again)


def test_with_a_teacher_alone_labels_do_not_matter(few):
    teacher = small()
    images = torch.stack([image for image, _ in few])
    labels = [torch.full((len(images),), label) for label in (0, 1)]
    found = [
        trained(small(), TensorDataset(images, each), teacher=teacher, how={"distil": 1.0, "epochs": 2})
        for each in labels
    ]
    assert is_same(*found)


def test_a_student_comes_near_its_teacher(digits, held_out):
    teacher = trained(small(), digits, how={"epochs": 3})
    torch.manual_seed(1)
    student = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    images = torch.stack([image for image, _ in held_out])

    def distance():
        with torch.no_grad():
            return float((teacher(images).softmax(1) - student(images).softmax(1)).square().sum())

    before = distance()
    train(student, digits, recipe(distil=1.0, epochs=3), teacher=teacher)
    assert distance() < 0.7 * before


def test_a_loss_that_is_no_number_is_told(few):
    with pytest.raises(
        InvalidRecipe, match=r"the loss is (nan|inf) in step \d+ of 20: .*lower learning rate than 1e\+25"
    ):
        train(small(), few, recipe(epochs=20, learning_rate=1e25))


def test_one_image_is_too_few(digits):
    with pytest.raises(DataError, match="there are 1 images to train on; at least 2"):
        train(small(), Subset(digits, [0]), recipe())


class Killed(Exception):
    pass


def stopped_at(step):
    def progress(moment):
        if moment.done == step:
            raise Killed

    return progress


OPTIONS = {
    "sgd": {},
    "adamw, averaged, mixed": {"optimiser": "adamw", "average": 0.9, "mix": "cutmix", "schedule": "cosine"},
}


@pytest.mark.parametrize("seconds", [0.0, 1e9], ids=["kept in each step", "kept after an epoch"])
@pytest.mark.parametrize("step", [1, 4, 6, 9])
@pytest.mark.parametrize("how", OPTIONS.values(), ids=OPTIONS)
def test_what_was_interrupted_ends_with_the_same_weights(few, held_out, tmp_path, monkeypatch, how, step, seconds):
    monkeypatch.setattr(loop, "KEEP_SECONDS", seconds)
    how = {"epochs": 3, "batch": 32, "learning_rate": 0.01} | how
    wanted, model = small(), small()
    epochs = train(wanted, few, recipe(**how), validation=held_out, teacher=small())
    path = tmp_path / "training"
    with pytest.raises(Killed):
        train(
            copy.deepcopy(model),
            few,
            recipe(**how),
            validation=held_out,
            teacher=small(),
            keep=path,
            progress=stopped_at(step),
        )
    found = train(model, few, recipe(**how), validation=held_out, teacher=small(), keep=path)
    assert is_same(model, wanted)
    timed = {"seconds", "images_per_second"}
    assert [epoch.model_dump(exclude=timed) for epoch in found] == [epoch.model_dump(exclude=timed) for epoch in epochs]


def test_what_is_over_is_not_done_again(few, tmp_path):
    wanted, model = small(), small()
    for each in (wanted, model):
        train(each, few, recipe(), keep=tmp_path / "training", progress=stopped_at(2 if each is model else 0))
    assert is_same(model, wanted)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"how": {"epochs": 2}}, "another recipe"),
        ({"teacher": small()}, "another teacher, or none"),
        ({"validation": TensorDataset(torch.zeros(3, 1, 8, 8), torch.zeros(3).long())}, "images to validate on"),
    ],
    ids=["recipe", "teacher", "validation"],
)
def test_another_training_does_not_go_on_from_it(few, tmp_path, change, reason):
    trained(small(), few, keep=tmp_path / "training")
    with pytest.raises(TrainingMismatch, match=f"is of a training with .*{reason}"):
        trained(small(), few, keep=tmp_path / "training", **change)


def test_other_weights_do_not_go_on_from_it(model, few, tmp_path):
    trained(small(), few, keep=tmp_path / "training")
    with pytest.raises(TrainingMismatch, match="other weights to start from"):
        trained(model, few, keep=tmp_path / "training")


@pytest.mark.parametrize("data", [b"", b"no training", b"\x08\0\0\0\0\0\0\0{}      "], ids=["empty", "other", "plain"])
def test_another_file_is_refused_and_left_alone(few, tmp_path, data):
    path = tmp_path / "training"
    path.write_bytes(data)
    with pytest.raises(FileFormatError, match="is no file of a training"):
        trained(small(), few, keep=path)
    assert path.read_bytes() == data
