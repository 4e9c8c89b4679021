"""Runtimes: what is asked for runs, on the threads that are asked for."""

import importlib.util

import numpy as np
import pytest
import torch
from torch import nn

import elastic
from elastic.errors import RuntimeMissing, UnknownName
from elastic.latency import prepare
from elastic.latency.bench import Bench
from elastic.latency.graphs import Graph
from elastic.latency.inside import sites_of
from elastic.latency.runtimes import GRAPHS, PACKAGES, onnx_bytes, threads_of
from elastic.latency.sampling import draw_widths, levels_of


class Net(nn.Module):
    """A convolution with a norm, a depthwise one, a norm that can't be folded, and a flatten."""

    def __init__(self):
        super().__init__()
        self.wide, self.norm = nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
        self.depth, self.later = nn.Conv2d(16, 16, 3, padding=1, groups=16), nn.BatchNorm2d(16)
        self.out = nn.Linear(64, 5)

    def forward(self, x):
        x = self.depth(torch.relu(self.norm(self.wide(x))))
        return self.out(torch.flatten(nn.functional.avg_pool2d(self.later(torch.relu(x)), 4), 1))


@pytest.fixture(scope="module")
def opened():
    torch.manual_seed(0)
    model, example = Net().eval(), torch.randn(1, 3, 8, 8)
    for norm in (model.norm, model.later):
        for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
            nn.init.uniform_(tensor, 0.5, 1.5)
    return model, example, elastic.trace(model, example)


@pytest.fixture(scope="module")
def graph(opened):
    model, example, plan = opened
    import onnx

    return Graph(onnx.load_from_string(onnx_bytes(model, example)), plan)


def narrow(opened):
    model, _, plan = opened
    levels = levels_of(plan, draw_widths(plan, "fit", 1, 0))
    return elastic.fit(Net(), elastic.cut(model.state_dict(), plan, levels)).eval(), levels


@pytest.mark.parametrize("runtime", GRAPHS)
def test_a_cut_graph_gives_what_the_cut_network_gives(opened, graph, runtime):
    if importlib.util.find_spec(PACKAGES[runtime]) is None:
        pytest.skip(f"{runtime} is not installed")
    _, example, _ = opened
    network, levels = narrow(opened)
    found = GRAPHS[runtime](graph.cut(levels), example, 1)()
    with torch.no_grad():
        np.testing.assert_allclose(np.asarray(found[0]), network(example).numpy(), rtol=1e-3, atol=1e-4)


def test_onnxruntime_tells_the_times_of_layers(opened, graph, monkeypatch):
    model, example, plan = opened
    _, levels = narrow(opened)
    monkeypatch.setattr("elastic.latency.bench.graph_of", lambda *_: graph)
    bench = Bench(
        model, example, plan, reference=levels, runtime="onnxruntime", threads=1, runs=3, clock=None
    )  # fmt: skip
    assert {"wide", "depth", "out"} <= set(bench.measure(levels).inside)


def test_eager_tells_the_times_of_all_layers(opened):
    model, example, plan = opened
    _, levels = narrow(opened)
    bench = Bench(model, example, plan, reference=levels, runtime="eager", threads=1, runs=3, clock=None)
    assert set(bench.measure(levels).inside) == {"", *(site.layer for site in sites_of(model, lambda: model(example)))}


def test_an_eager_call_gives_what_the_network_gives(opened):
    model, example, _ = opened
    with torch.no_grad():
        assert torch.equal(prepare(model, example)(), model(example))


def test_threads_come_back():
    before = torch.get_num_threads()
    with threads_of(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_an_unknown_runtime_is_told(opened):
    model, example, _ = opened
    with pytest.raises(UnknownName, match="unknown runtime 'onxruntime'; known: eager, compile"):
        prepare(model, example, runtime="onxruntime")


def test_a_runtime_that_is_not_installed_is_told(opened, monkeypatch):
    model, example, _ = opened
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RuntimeMissing, match="needs openvino, which isn't installed"):
        prepare(model, example, runtime="openvino")
