"""Costs in closed form against torch's flop counter, the parameters themselves, and a real file."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save, save_file
from torch.utils.flop_counter import FlopCounterMode

from elastic import models
from elastic.costs import Cost, CostModel
from elastic.cutting import cut
from elastic.fitting import fitted
from elastic.tracing import trace
from elastic.tracing.removals import some_removed
from elastic.tracing.twin import meta_twin, place, run
from tests.networks import WIRINGS

NETWORKS = {
    "elastic/resnet20": 32,
    "elastic/vgg6_bn": 32,
    "elastic/wrn16_1": 32,
    "elastic/resnet8p": 32,
    "torchvision/mobilenet_v3_small": 64,
    "torchvision/squeezenet1_1": 64,
}


@pytest.fixture(scope="module", params=NETWORKS)
def cut_network(request: pytest.FixtureRequest) -> tuple[CostModel, np.ndarray, torch.nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    example = torch.randn(1, 3, NETWORKS[request.param], NETWORKS[request.param])
    model = models.build(request.param).eval()
    plan = trace(model, example, probe=False)
    generator = np.random.default_rng(0)
    levels = (generator.random(plan.units) < 0.5).astype(np.uint8)
    for group in plan.groups:
        levels[group.units[0]] = 0
    return CostModel(plan), levels == 0, fitted(model, cut(model.state_dict(), plan, levels)), example


def test_params_are_those_of_the_cut_network(cut_network) -> None:
    costs, stays, model, _ = cut_network
    assert costs.cost(stays).params == sum(p.numel() for p in model.parameters())


def test_macs_are_half_of_what_torch_counts(cut_network) -> None:
    costs, stays, model, example = cut_network
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(example)
    assert costs.cost(stays).macs == counter.get_total_flops() // 2


def test_bytes_are_those_of_the_file(cut_network, tmp_path: Path) -> None:
    costs, stays, model, _ = cut_network
    save_file(model.state_dict(), tmp_path / "cut.safetensors", metadata={"format": "pt"})
    assert costs.cost(stays).bytes == (tmp_path / "cut.safetensors").stat().st_size


def test_the_dense_cost_is_that_of_all_units(cut_network) -> None:
    costs, stays, _, _ = cut_network
    assert costs.dense == costs.cost(np.ones_like(stays))


WIRED = [name for name, wiring in WIRINGS.items() if not wiring.refused]


def made(name):
    torch.manual_seed(0)
    model, example = WIRINGS[name].make(), WIRINGS[name].example()
    return model, example, trace(model, example)


@pytest.mark.filterwarnings("ignore:input's size at dim=1:UserWarning")  # InstanceNorm without weights: only cosmetic
@pytest.mark.parametrize("ratio", [0.0, 0.5], ids=["whole", "cut"])
@pytest.mark.parametrize("name", WIRED)
def test_macs_of_every_wiring_are_those_that_torch_counts(name, ratio):
    model, example, plan = made(name)
    levels = some_removed(plan, plan.groups, ratio)
    with FlopCounterMode(display=False) as counter:
        run(meta_twin(fitted(model, cut(model.state_dict(), plan, levels))), place(example, "meta"))
    assert CostModel(plan).cost(levels == 0).macs == counter.get_total_flops() // 2


@pytest.mark.parametrize("name", WIRED)
def test_params_are_those_of_every_cut_wiring(name):
    model, _, plan = made(name)
    levels = some_removed(plan, plan.groups, 0.5)
    small = fitted(model, cut(model.state_dict(), plan, levels))
    assert CostModel(plan).cost(levels == 0).params == sum(p.numel() for p in small.parameters())


@pytest.mark.parametrize("name", WIRED)
def test_bytes_of_every_wiring_are_those_of_its_file(name):
    model, _, plan = made(name)
    levels = some_removed(plan, plan.groups, 0.5)
    core = {
        key: tensor.clone() for key, tensor in cut(model.state_dict(), plan, levels).items()
    }  # ties are written twice
    assert CostModel(plan).cost(levels == 0).bytes == len(save(core, metadata={"format": "pt"}))


@pytest.mark.parametrize("name", WIRED)
def test_the_dense_cost_of_every_wiring_is_that_of_the_model(name):
    model, _, plan = made(name)
    dense = CostModel(plan).dense
    assert dense == CostModel(plan).cost(np.ones(plan.units, bool))
    assert dense.params == sum(p.numel() for p in model.parameters())


def test_every_unit_costs_something():
    _, _, plan = made("projected_residual")
    costs = CostModel(plan)
    for unit in range(plan.units):
        less = costs.cost(np.arange(plan.units) != unit)
        assert less.params < costs.dense.params
        assert less.macs < costs.dense.macs


@pytest.mark.parametrize(("quantity", "value"), [("params", 1), ("macs", 2), ("size", 3)])
def test_a_cost_is_asked_by_the_name_of_a_quantity(quantity, value):
    assert Cost(params=1, macs=2, bytes=3)[quantity] == value
