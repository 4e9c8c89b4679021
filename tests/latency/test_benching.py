"""Benching: networks by runtimes in turns, with what they take beside time."""

import pytest
import torch
from torch import nn

from elastic.errors import UnknownName
from elastic.latency import bench
from elastic.latency.resources import joules_of, meter_of, peak_bytes
from elastic.measuring import in_turns


@pytest.fixture
def networks():
    return {name: nn.Sequential(nn.Conv2d(1, width, 3)).eval() for name, width in (("small", 2), ("large", 8))}


CPU = torch.device("cpu")


def test_every_network_is_measured_on_every_runtime(networks):
    found = bench(networks, torch.zeros(2, 1, 8, 8), runs=3, at_least_seconds=0)
    assert [(each.network, each.runtime, each.latency.runs) for each in found] == [
        ("small", "eager", 3),
        ("large", "eager", 3),
    ]


def test_energy_is_that_of_one_run(networks):
    counted = iter(range(100))
    found = bench(
        networks, torch.zeros(1, 1, 8, 8), runs=2, at_least_seconds=0, meter=lambda: 1000.0 * next(counted)
    )  # fmt: skip
    assert all(0 < each.joules <= 1000 for each in found)


def test_nothing_to_measure_is_told():
    with pytest.raises(UnknownName, match="nothing to measure"):
        bench({}, torch.zeros(1, 1, 8, 8))


def test_calls_run_in_turns():
    order = []
    in_turns({name: lambda name=name: order.append(name) for name in "ab"}, runs=2)
    assert "".join(order) == "ababababab"


def test_the_peak_holds_what_is_freed_again():
    def action():
        torch.ones(1 << 24)  # 64 MiB
        return 7

    made, peak = peak_bytes(action, CPU)
    if peak is None:
        pytest.skip("this system tells no peak")
    assert made == 7
    assert 60 << 20 < peak < 100 << 20


def test_energy_is_read_from_all_processors(tmp_path):
    for name, joules in (("intel-rapl:0", 3), ("intel-rapl:1", 4), ("intel-rapl:0:0", 100)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "energy_uj").write_text(f"{joules * 10**6}\n")
    assert meter_of(CPU, tmp_path)() == 7


def test_without_counters_no_energy_is_told(tmp_path):
    assert meter_of(CPU, tmp_path) is None


def test_a_counter_that_began_anew_tells_nothing():
    counted = iter([10.0, 1.0])
    assert joules_of(lambda: None, 3, lambda: next(counted)) is None
