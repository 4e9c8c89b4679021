"""`elastic bench`, `elastic deploy` and `elastic profile`."""

import pytest

from elastic.latency import read_table
from tests.cli.command_line import NETWORK

PROFILE = f"profile {NETWORK} --points 8 --checks 2 --runs 2 --threads 1 -o table.jsonl"


def test_bench_measures_every_level_of_a_file(net, elastic):
    rows = elastic("bench net.safetensors --runs 2 --threads 1 --json").json["rows"]
    assert len(rows) > 1
    assert all(0 < row["low"] <= row["seconds"] <= row["high"] for row in rows)


def test_bench_measures_the_levels_that_are_asked_for(net, elastic):
    done = elastic("bench net.safetensors --level smallest --runs 2 --threads 1 --batch 3 --json").json
    assert (len(done["rows"]), done["shape"][0]) == (1, 3)


def test_bench_prints_a_table(elastic):
    done = elastic(f"bench {NETWORK} --runs 2 --threads 1")
    assert "median" in done.out
    assert "1 thread, measured in turns" in done.out


def test_deploy_writes_every_level_with_its_size_and_time(net, elastic):
    done = elastic("deploy net.safetensors --runs 2 --threads 1 -o deployed --json").json
    rows = {row["level"]: row for row in done["rows"]}
    assert list(rows) == ["macs=25%", "macs=50%", "full"]
    assert all(row["error"] < 1e-4 and row["seconds"]["onnxruntime"] > 0 for row in rows.values())
    assert 0 < rows["macs=25%"]["bytes"] < rows["macs=50%"]["bytes"] < rows["full"]["bytes"]


def test_deploy_prints_a_table_and_leaves_what_is_there(net, elastic, refused):
    how = "deploy net.safetensors --level smallest --to state-dict -o deployed"
    done = elastic(how)
    assert "differs from torch" in done.out
    assert "full" not in done.out
    assert "exists; choose another folder" in refused(how)


def test_profile_writes_a_table_and_tells_its_error(elastic):
    done = elastic(PROFILE)
    assert "2 others" in done.out
    assert len(read_table("table.jsonl").points) == 10


def test_profile_goes_on_where_it_was(elastic):
    elastic(PROFILE)
    before = read_table("table.jsonl").points
    elastic(PROFILE.replace("--checks 2", "--checks 3"))
    assert read_table("table.jsonl").points[:-1] == before


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (f"bench {NETWORK} --runtime tensorrt", "unknown runtime 'tensorrt'; known: eager"),
        (f"bench {NETWORK} --level 0", "takes no --level"),
        (f"bench {NETWORK} --threads 2 --clock thread", "clock thread counts one thread, 2 run"),
        (f"bench {NETWORK} --device tpu", "device 'tpu' isn't there"),
        (f"profile {NETWORK} -o table.jsonl --runtime tensorrt", "unknown runtime 'tensorrt'"),
    ],
)
def test_what_cannot_be_measured_is_told(refused, command, told):
    assert told in refused(command, code=2)


def test_prune_to_a_time_tells_what_was_measured(net, elastic, timed_shortly):
    elastic(f"{PROFILE} --batch 64 --clock thread")  # of one image the time is that of Python
    how = f"prune {NETWORK} --weights weights.safetensors --latency-table table.jsonl"
    done = elastic(f"{how} --target latency=80% --target macs=30% -o fast.safetensors")
    assert done.code == 0, done.err
    assert "least reachable" in done.err
    assert "each cut is timed for about" in done.err
    assert "of the whole network's time" in done.err
    assert "of whole" in done.out
    rows = elastic(f"{how} --target latency=80% --solver milp -o best.safetensors --json").json["levels"]
    assert rows[0]["ms"] > 0
    assert "ms" not in rows[-1]
    told = elastic("info best.safetensors --json").json
    assert told["levels"][0]["metrics"]["ms"] == rows[0]["ms"]


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        ("--target latency=50%", 1, "needs a table of how long"),
        ("--target latency=50% --latency-table none.jsonl", 1, "can't read none.jsonl"),
        ("--target latency=5 --latency-table none.jsonl", 1, "write a number with %, us, ms or s"),
        ("--target macs=50% --solver best", 2, "unknown solver 'best'; known: greedy, milp"),
    ],
)
def test_times_that_can_not_be_had_are_refused(net, refused, options, code, told):
    assert told in refused(f"prune {NETWORK} --weights weights.safetensors {options} -o fast.safetensors", code=code)
