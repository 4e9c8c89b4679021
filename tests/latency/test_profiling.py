"""Profiling and tables, with times that are told instead of measured."""

import json

import numpy as np
import pytest
import torch

import elastic
from elastic.errors import FileFormatError, LatencyMismatch, PlanMismatch, TargetError
from elastic.gates.channels import LatencyPrice, read_latency_table
from elastic.latency import profile, read_table
from elastic.latency.subnetworks import Measured, Subnetworks
from elastic.latency.table import Table
from elastic.measuring import Latency
from tests.wirings import WIRINGS


class Stopwatch:
    """Tells times by the shapes of weights instead of measuring them, and how often it was asked."""

    def __init__(self):
        self.asked = 0
        self.speed = lambda asked: 1.0  # of the machine
        self.noise = 0.0

    def seconds(self, shapes):
        return {
            name.removesuffix(".weight"): 1e-4 + 1e-6 * -(-shape[0] // 4) * 4 * (shape[1] if len(shape) > 1 else 1)
            for name, shape in shapes.items()
            if name.endswith(".weight")
        }

    def measure(self, networks, levels):
        self.asked += 1
        slower = self.speed(self.asked)
        found = self.seconds(elastic.CostModel(networks.plan).shapes(levels == 0))
        found = {layer: slower * each for layer, each in found.items()}
        whole = sum(found.values()) * (1 + self.noise * np.random.default_rng(self.asked).normal())
        return Measured(Latency(whole, whole, whole, 5), found, slower)


@pytest.fixture
def watch(monkeypatch):
    watch = Stopwatch()
    monkeypatch.setattr(Subnetworks, "measure", lambda networks, levels: watch.measure(networks, levels))
    return watch


@pytest.fixture(scope="module")
def opened():
    torch.manual_seed(0)
    wiring = WIRINGS["residual"]
    model, example = wiring.make().eval(), wiring.example()
    return model, example, elastic.trace(model, example)


def true_seconds(watch, plan, stays):
    return sum(watch.seconds(elastic.CostModel(plan).shapes(stays)).values())


def drawn(plan, seed=5):
    stays = np.random.default_rng(seed).random(plan.units) < 0.6
    for group in plan.groups:
        stays[group.units[0]] = True
    return stays


def test_a_table_predicts_networks_that_were_not_measured(watch, opened):
    model, example, plan = opened
    stays = drawn(plan)
    found = float(profile(model, example, plan=plan).predict(stays, plan))
    assert found == pytest.approx(true_seconds(watch, plan, stays), rel=0.02)


def test_many_networks_are_predicted_at_once(watch, opened):
    model, example, plan = opened
    table, many = profile(model, example, plan=plan), np.stack([drawn(plan, seed) for seed in range(4)])
    np.testing.assert_allclose(table.predict(many, plan), [float(table.predict(one, plan)) for one in many])


def test_no_more_is_measured_than_predictions_need(watch, opened):
    model, example, plan = opened
    assert len([p for p in profile(model, example, plan=plan, points=40).points if p.role == "fit"]) < 20


def test_where_predictions_miss_all_points_are_measured(watch, opened):
    watch.noise = 0.5
    model, example, plan = opened
    assert len([p for p in profile(model, example, plan=plan, points=20).points if p.role == "fit"]) == 20


def test_a_machine_that_gets_slower_changes_nothing(watch, opened):
    model, example, plan = opened
    stays = drawn(plan)
    steady = profile(model, example, plan=plan)
    watch.speed = lambda asked: 2.0 if asked % 3 == 0 else 1.0
    found = profile(model, example, plan=plan)
    assert float(found.predict(stays, plan)) == pytest.approx(float(steady.predict(stays, plan)), rel=1e-6)


def test_the_error_is_that_of_networks_that_are_not_fitted(watch, opened):
    model, example, plan = opened
    table = profile(model, example, plan=plan, checks=4)
    slower = [p.model_copy(update={"seconds": 2 * p.seconds}) if p.role == "check" else p for p in table.points]
    assert table.errors.networks == 4
    assert Table(table.header, tuple(slower)).errors.median == pytest.approx(0.5, abs=0.02)


def test_a_file_gives_the_table_that_was_measured(watch, opened, tmp_path):
    model, example, plan = opened
    table = profile(model, example, plan=plan, path=tmp_path / "table.jsonl")
    assert read_table(tmp_path / "table.jsonl").points == table.points


def test_what_was_killed_goes_on_where_it_was(watch, opened, tmp_path):
    model, example, plan = opened
    path = tmp_path / "table.jsonl"
    table = profile(model, example, plan=plan, path=path)
    whole, before = path.read_bytes(), watch.asked
    path.write_bytes(whole[: len(whole) // 2])
    left = len(table.points) - (path.read_bytes().count(b"\n") - 1)
    assert profile(model, example, plan=plan, path=path).points == table.points
    assert (path.read_bytes(), watch.asked - before) == (whole, left)


@pytest.mark.parametrize(
    ("other", "told"),
    [({"threads": 3}, "another number of threads"), ({"seed": 1}, "another seed"), ({"runtime": "compile"}, "runtime")],
)
def test_a_file_of_something_else_is_not_gone_on_with(watch, opened, tmp_path, other, told):
    model, example, plan = opened
    profile(model, example, plan=plan, path=tmp_path / "table.jsonl", threads=1)
    with pytest.raises(LatencyMismatch, match=told):
        profile(model, example, plan=plan, path=tmp_path / "table.jsonl", **{"threads": 1, **other})


@pytest.fixture
def elsewhere(watch, opened, tmp_path):
    """A table of another machine."""
    model, example, plan = opened
    path = tmp_path / "table.jsonl"
    profile(model, example, plan=plan, path=path)
    first, *rest = path.read_text().splitlines()
    header = json.loads(first)
    header["machine"]["processor"] = "Abacus"
    path.write_text("\n".join([json.dumps(header, separators=(",", ":")), *rest, ""]))
    return path


def test_a_table_of_another_machine_is_refused(elsewhere):
    with pytest.raises(LatencyMismatch, match="measured on Abacus"):
        read_table(elsewhere)


def test_a_table_of_another_machine_is_read_if_asked_for(elsewhere):
    assert read_table(elsewhere, elsewhere=True).header.machine.processor == "Abacus"


def test_a_table_is_the_price_of_gates(watch, opened, tmp_path):
    model, example, plan = opened
    profile(model, example, plan=plan, path=tmp_path / "table.jsonl")
    price = LatencyPrice(plan, read_latency_table(tmp_path / "table.jsonl"))
    stays = drawn(plan)
    share = true_seconds(watch, plan, stays) / true_seconds(watch, plan, np.ones(plan.units, np.bool_))
    assert float(price(torch.from_numpy(stays).double())) == pytest.approx(share, rel=0.05)


def test_a_table_of_another_network_is_refused(watch, opened):
    model, example, plan = opened
    wiring = WIRINGS["chain"]
    other = elastic.trace(wiring.make(), wiring.example())
    with pytest.raises(PlanMismatch, match="profile this network"):
        profile(model, example, plan=plan).predict(np.ones(other.units, np.bool_), other)


def test_a_damaged_line_is_told(watch, opened, tmp_path):
    model, example, plan = opened
    path = tmp_path / "table.jsonl"
    profile(model, example, plan=plan, path=path)
    path.write_bytes(path.read_bytes().replace(b'"role":"check"', b'"role":"cheque"', 1))
    with pytest.raises(FileFormatError, match="damaged in line"):
        read_table(path)


def test_too_few_points_are_refused(watch, opened):
    model, example, plan = opened
    with pytest.raises(TargetError, match="2 networks are too few"):
        profile(model, example, plan=plan, points=2)


def test_slopes_tell_what_one_more_channel_takes(watch, opened):
    model, example, plan = opened
    predictor = profile(model, example, plan=plan).on(plan)
    lengths = predictor.sums.lengths(np.ones(plan.units, np.bool_))
    slopes = predictor.slopes(lengths)
    assert len(slopes) == len(lengths)
    assert slopes[:-1].min() >= 0
    assert slopes.max() > 0
