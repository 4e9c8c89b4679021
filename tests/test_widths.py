"""Networks between two levels of a file."""

import pytest
import torch
from torch import nn

import elastic
from elastic import models
from elastic.allocation import insert_level, rank
from elastic.costs import CostModel
from elastic.data import Preprocessing, evaluate, images_loader, load
from elastic.errors import DataError, FileFormatError, TargetError
from elastic.planned import load_plan
from elastic.proofs import same_bits
from elastic.recipes import Recipe
from elastic.targets import parse_target
from elastic.training import train
from elastic.widths import load_width

NETWORK = "elastic/digits_resnet"


@pytest.fixture(scope="module")
def digits():
    return load("digits", train=True, preprocessing=Preprocessing.default(NETWORK))


@pytest.fixture(scope="module")
def images(digits):
    return [images for images, _ in images_loader(digits, 128, limit=256, seed=0)]


@pytest.fixture(scope="module")
def net(tmp_path_factory, digits, images):
    """A file of a trained network, its levels repaired."""
    torch.manual_seed(0)
    model = models.build(NETWORK)
    train(model, digits, Recipe(epochs=8, shift=1, mirror=False, batch=64))
    path = tmp_path_factory.mktemp("widths") / "net.safetensors"
    pruned = elastic.prune(model, torch.zeros(1, 1, 8, 8), target=["macs=30%", "macs=70%"], data=images)
    pruned.save(path, model_name=NETWORK)
    return path


@pytest.mark.parametrize("percent", [42, 50, 60, 69, 85])
@pytest.mark.parametrize("quantity", ["macs", "params", "size"])
def test_an_inserted_level_keeps_its_target_and_contains_the_smaller_ones(net, percent, quantity):
    planned = load_plan(net)
    target = parse_target(f"{quantity}={percent}%")
    levels, number = insert_level(planned.plan, planned.scores, planned.levels, target)
    costs = CostModel(planned.plan)
    assert target.holds(costs.cost(levels <= number), costs.dense)
    if number <= int(planned.levels.max()) and levels is not planned.levels:
        assert (planned.levels[levels < number] < number).all()
        assert (planned.levels[levels <= number] <= number).all()
        order = rank(planned.plan, planned.scores)
        of_group = planned.plan.group_of_unit
        added, left = (order[levels[order] == each] for each in (number, number + 1))
        place = {int(unit): where for where, unit in enumerate(order)}
        for group in set(of_group[added].tolist()) & set(of_group[left].tolist()):
            least = min(place[int(unit)] for unit in added if of_group[unit] == group)
            assert all(place[int(unit)] < least for unit in left if of_group[unit] == group)


def test_as_many_units_come_as_fit(net):
    planned = load_plan(net)
    costs = CostModel(planned.plan)
    levels, number = insert_level(planned.plan, planned.scores, planned.levels, parse_target("macs=50%"))
    macs = costs.cost(levels <= number).macs / costs.dense.macs
    assert 0.48 < macs <= 0.5
    for group in range(len(planned.plan.groups)):
        outside = (levels == number + 1) & (planned.plan.group_of_unit == group)
        if outside.any():
            more = levels <= number
            more[outside.argmax()] = True
            assert costs.cost(more).macs / costs.dense.macs > 0.5


def test_a_repaired_width_is_better_than_one_with_new_norms_and_than_none(net, images):
    tested = load("digits", train=False, preprocessing=Preprocessing.default(NETWORK))
    found = {
        name: evaluate(network, images_loader(tested, 250)).loss
        for name, network in (
            ("30%", elastic.load(net, "macs=30%")),
            ("repaired", load_width(net, "macs=50%", data=images)),
            ("norms", load_width(net, "macs=50%", data=images, recover=False)),
            ("70%", elastic.load(net, "macs=70%")),
        )
    }
    assert found["repaired"] < found["norms"]
    assert found["repaired"] < found["30%"]


def test_a_width_that_is_a_level_is_that_level_without_data(net):
    state = elastic.load_state(net, "macs=70%")
    found = load_width(net, "macs=70%").state_dict()
    assert all(same_bits(tensor, state[name]) for name, tensor in found.items())


def test_the_users_own_network_and_half_precision(net, images, tmp_path):
    model = elastic.load(net).plain().bfloat16()
    pruned = elastic.prune(model, torch.zeros(1, 1, 8, 8, dtype=torch.bfloat16), target=["macs=30%", "macs=70%"])
    pruned.save(tmp_path / "own.safetensors")

    def network(level: int) -> nn.Module:
        return elastic.checkpoint.load(
            tmp_path / "own.safetensors", level, model=models.build(NETWORK).to(torch.bfloat16)
        )

    made = load_width(tmp_path / "own.safetensors", "macs=50%", data=images, network=network)
    assert {p.dtype for p in made.parameters()} == {torch.bfloat16}
    assert not made.training


@pytest.mark.parametrize(
    ("target", "data", "error", "told"),
    [
        ("macs=10%", [], TargetError, r"no level keeps macs=10%: the smallest has 29\.\d% .* ask for more"),
        ("macs=50%", None, DataError, "lies between two levels of .* give images"),
        ("mac=50%", None, TargetError, "can't read the target"),
    ],
)
def test_what_cannot_be_made_is_refused(net, target, data, error, told):
    with pytest.raises(error, match=told):
        load_width(net, target, data=data)


def test_a_file_without_scores_is_refused(net, tmp_path):
    planned = load_plan(net)
    elastic.save(tmp_path / "bare.safetensors", elastic.load(net), planned.plan, planned.levels, model_name=NETWORK)
    with pytest.raises(FileFormatError, match="holds no scores of units"):
        load_width(tmp_path / "bare.safetensors", "macs=50%", data=[])
