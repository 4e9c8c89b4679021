"""A price in time: tables, what lies between their widths, and targets of it."""

import json

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

import elastic
from elastic.errors import DataError, PlanMismatch, TargetError
from elastic.gates.channels import LatencyPrice, LatencyTable, gate_channels, gating_of, read_latency_table
from elastic.recipes import Recipe
from tests.wirings import WIRINGS


def opened(name="chain"):
    torch.manual_seed(0)
    wiring = WIRINGS[name]
    model, example = wiring.make().eval(), wiring.example()
    return model, example, elastic.trace(model, example)


def layers_of(model):
    return {
        name: m.weight.shape
        for name, m in model.named_modules()
        if getattr(m, "weight", None) is not None and m.weight.dim() > 1
    }


def staircase(model, step=4):
    """Return a table in which each layer takes a time for every `step` of its inputs and outputs that is begun."""
    found = {}
    for name, shape in layers_of(model).items():
        inputs, outputs = (list(range(1, int(size) + 1)) for size in (shape[1], shape[0]))
        times = [[float(-(-i // step) * -(-o // step)) for o in outputs] for i in inputs]
        found[name] = {"inputs": inputs, "outputs": outputs, "times": times}
    return LatencyTable(layers=found)


def test_open_gates_have_the_whole_price():
    model, _, plan = opened()
    assert float(LatencyPrice(plan, staircase(model))(torch.ones(plan.units))) == 1


@pytest.mark.parametrize("name", ["chain", "residual", "dense_block"])
def test_binary_gates_have_the_tables_times(name):
    model, _, plan = opened(name)
    table = staircase(model)
    price = LatencyPrice(plan, table)
    stays = np.random.default_rng(0).random(plan.units) < 0.6
    for group in plan.groups:
        stays[group.units[0]] = True
    shapes = elastic.CostModel(plan).shapes(stays)
    times = [
        table.layers[each].times[shapes[f"{each}.weight"][1] - 1][shapes[f"{each}.weight"][0] - 1]
        for each in table.layers
    ]
    assert float(price(torch.from_numpy(stays).double())) * price.dense == pytest.approx(sum(times))


def test_between_widths_times_are_interpolated_with_their_slope():
    model, _, plan = opened()
    name, shape = next(iter(layers_of(model).items()))
    whole = int(shape[0])
    table = LatencyTable(
        layers={name: {"inputs": [int(shape[1])], "outputs": [1, whole], "times": [[1.0, float(whole)]]}}
    )
    price = LatencyPrice(plan, table)
    gates = torch.full((plan.units,), 0.5, dtype=torch.float64, requires_grad=True)
    found = price(gates)
    found.backward()
    assert float(found.detach()) == pytest.approx(0.5)
    assert float(gates.grad.sum()) == pytest.approx(1)


def test_a_target_of_latency_is_kept():
    model, example, plan = opened("residual")
    torch.manual_seed(0)
    images = TensorDataset(torch.randn(64, *example.shape[1:]), torch.zeros(64, dtype=torch.int64))
    recipe = Recipe(epochs=2, batch=16, distil=1.0, learning_rate=0.01, shift=0)
    pruned, (stage,) = gate_channels(
        model, example, images, recipe, target="latency=60%", table=staircase(model), gating=gating_of("binary")
    )
    assert 0.3 < stage.costs["settled"] <= 0.6
    assert float(LatencyPrice(plan, staircase(model))(torch.from_numpy(pruned.levels == 0).double())) <= 0.6


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "is no latency table"),
        (json.dumps({"layers": {}}), "layers"),
        (json.dumps({"layers": {"a": {"inputs": [2, 1], "outputs": [1], "times": [[1], [2]]}}}), "have to rise"),
        (json.dumps({"layers": {"a": {"inputs": [1], "outputs": [1, 2], "times": [[1]]}}}), "1 rows of 2"),
        (json.dumps({"layers": {"a": {"inputs": [1], "outputs": [1], "times": [[-1]]}}}), "greater than or equal to 0"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, text, told):
    path = tmp_path / "table.json"
    path.write_text(text)
    with pytest.raises(DataError, match=told):
        read_latency_table(path)


def test_a_table_of_another_network_is_refused():
    _, _, plan = opened()
    other = LatencyTable(layers={"other": {"inputs": [1], "outputs": [1], "times": [[1.0]]}})
    with pytest.raises(PlanMismatch, match="has a layer 'other', the network has not; it has"):
        LatencyPrice(plan, other)


def test_a_target_that_no_network_keeps_is_refused():
    model, example, _ = opened()
    images = TensorDataset(torch.randn(8, *example.shape[1:]), torch.zeros(8, dtype=torch.int64))
    with pytest.raises(TargetError, match="can't read the target 'macs=50%' with a table"):
        gate_channels(model, example, images, target="macs=50%", table=staircase(model))
