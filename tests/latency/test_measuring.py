import pytest
import torch
from torch import nn

from elastic.latency import measure_latency


class Counted(nn.Module):
    """Counts its calls, and takes note of the mode that it is in."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)
        self.modes = []

    def forward(self, x):
        self.modes.append((self.training, torch.is_inference_mode_enabled()))
        return self.layer(x)


@pytest.fixture
def model():
    return Counted()


def test_latency_is_a_median_between_its_quartiles(model):
    found = measure_latency(model, torch.zeros(1, 3), runs=20, at_least_seconds=0)
    assert 0 < found.low <= found.median <= found.high
    assert found.runs == 20


def test_runs_come_after_a_warm_up(model):
    found = measure_latency(model, torch.zeros(1, 3), runs=5, at_least_seconds=0)
    assert len(model.modes) == found.runs + 3


def test_quick_networks_run_more_often(model):
    assert measure_latency(model, torch.zeros(1, 3), runs=2, at_least_seconds=0.05).runs > 10


def test_the_network_runs_in_eval_mode_without_gradients(model):
    measure_latency(model, torch.zeros(1, 3), runs=2, at_least_seconds=0)
    assert set(model.modes) == {(False, True)}


@pytest.mark.parametrize("outer", [True, False], ids=["training", "eval"])
def test_every_module_gets_its_mode_back(model, outer):
    model.train(outer)
    model.layer.eval()
    measure_latency(model, torch.zeros(1, 3), runs=2, at_least_seconds=0)
    assert (model.training, model.layer.training) == (outer, False)


def test_the_mode_comes_back_when_a_run_fails(model):
    with pytest.raises(RuntimeError, match="shapes"):
        measure_latency(model, torch.zeros(1, 4))
    assert model.training
