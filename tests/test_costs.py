"""Costs in closed form against torch's flop counter, the parameters themselves, and a real file."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.utils.flop_counter import FlopCounterMode

from elastic import models
from elastic.costs import CostModel
from elastic.cutting import cut
from elastic.fitting import fitted
from elastic.tracing import trace

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
