"""Inside: each layer's time, from hooks and from onnxruntime's profile."""

import pytest
import torch
from torch import nn

from elastic.latency.inside import Marks, Site, seconds_in_profile, sites_of


class Ticks:
    """A clock that is one second further at every look."""

    def __init__(self):
        self.now = 0

    def __call__(self):
        self.now += 1
        return float(self.now)


@pytest.fixture
def model():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2)).eval()


@pytest.fixture
def image():
    return torch.randn(1, 1, 4, 4)


def test_a_layers_time_goes_on_until_the_next_begins(model, image):
    marks = Marks(model, lambda: model(image), Ticks())
    marks.call()
    assert marks.seconds(0) == {"": 1.0, "0": 1.0, "2": 1.0, "4": 1.0}


def test_the_times_of_all_layers_are_the_networks(model, image):
    clock = Ticks()
    marks = Marks(model, lambda: [clock() for _ in range(5)] and model(image), clock)
    marks.call()
    assert sum(marks.seconds(0).values()) == clock.now - 1


def test_no_hook_stays(model, image):
    Marks(model, lambda: model(image), Ticks()).call()
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_sites_are_the_calls_in_their_order(model, image):
    assert [site.layer for site in sites_of(model, lambda: model(image))] == ["0", "2", "4"]


def run_of(start, *nodes):
    """Return the events of one run, each node with its kind, shapes, and microseconds."""
    events, now = [], start
    for kind, given, made, duration in nodes:
        shapes = {"input_type_shape": [{"float": given}], "output_type_shape": [{"float": made}]}
        told = {"op_name": kind, **shapes}
        events.append({"cat": "Node", "name": f"{kind}_kernel_time", "ts": now, "dur": duration, "args": told})
        now += duration
    return [{"cat": "Session", "name": "model_run", "ts": start, "dur": now - start}, *events]


SITES = [Site("a", (1, 3, 8, 8), (1, 12, 8, 8)), Site("norm", (1, 12, 8, 8), (1, 12, 8, 8)), Site("b", (1, 12), (1, 5))]
CONV, PADDED = ("Conv", [1, 3, 8, 8], [1, 12, 8, 8], 40), ("Conv", [1, 3, 8, 8], [1, 16, 8, 8], 60)
POOL, GEMM = ("AveragePool", [1, 12, 8, 8], [1, 12, 1, 1], 5), ("Gemm", [1, 12], [1, 5], 10)


def test_nodes_belong_to_the_layer_that_they_follow():
    found = seconds_in_profile(run_of(0, CONV, POOL, GEMM), SITES, 0)
    assert found == pytest.approx({"": 0, "a": 45e-6, "b": 10e-6})


def test_layers_are_found_by_padded_widths():
    assert seconds_in_profile(run_of(0, PADDED, GEMM), SITES, 0)["a"] == pytest.approx(60e-6)


def test_the_first_runs_are_skipped():
    events = [*run_of(0, PADDED, GEMM), *run_of(1000, CONV, GEMM)]
    assert seconds_in_profile(events, SITES, 1)["a"] == pytest.approx(40e-6)


def test_a_node_that_fits_no_layer_makes_the_profile_worthless():
    strange = ("Conv", [1, 3, 8, 8], [1, 99, 8, 8], 40)
    assert seconds_in_profile(run_of(0, strange, GEMM), SITES, 0) == {}
