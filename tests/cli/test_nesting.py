"""`elastic nest`: from a model or a file to levels that share their weights; killed at any time, the same file."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.command_line import NETWORK

PROGRAM = Path(sys.executable).with_name("elastic")
SHORT = "--data digits --epochs 1 --batch 256 --shift 1 --no-mirror -o n.safetensors"
MODEL = f"nest {NETWORK} --weights weights.safetensors --levels macs=25%,50% --calibration 64 {SHORT}"
FILE = f"nest net.safetensors {SHORT}"


@pytest.mark.parametrize("way", ["--grow", "--joint", "--joint --norms re-estimated"])
def test_a_model_becomes_a_file_of_levels_that_share_weights(net, elastic, way):
    done = elastic(f"{MODEL} {way} --names small,medium --json").json
    assert [row["level"] for row in done["levels"]] == ["small", "medium", "full"]
    assert done["contract"] == ("nested" if way == "--grow" else "joint")
    for row in done["levels"]:
        found = elastic(f"eval n.safetensors --level {row['level']} --data digits --json").json
        assert found["top1"] == row["top1"]
    assert elastic("verify n.safetensors").code == 0
    assert f"contract {done['contract']}: " in elastic("rebuild n.safetensors -o whole.safetensors").out
    left = {path.name for path in Path().iterdir() if path.name.startswith("n.")}
    logs = {"n.0.jsonl", "n.1.jsonl", "n.2.jsonl"} if way == "--grow" else {"n.jsonl"}
    assert left == {"n.safetensors", *logs}


def test_a_file_of_pruned_levels_is_nested(net, elastic):
    done = elastic(f"{FILE} --json").json
    assert [row["level"] for row in done["levels"]] == ["macs=25%", "macs=50%", "full"]
    assert net.exists()


@pytest.mark.parametrize("kills", [1, pytest.param(5, marks=pytest.mark.slow)])
def test_what_is_killed_goes_on_and_ends_with_the_same_file(net, elastic, kills):
    assert elastic(f"{MODEL} --epochs 2".replace("n.safetensors", "whole.safetensors")).code == 0
    draws = random.Random(0)
    for _ in range(kills):
        process = subprocess.Popen([PROGRAM, *f"{MODEL} --epochs 2 --resume".split()], stderr=subprocess.DEVNULL)
        until = time.monotonic() + 100
        while not Path("n.start.safetensors").exists() and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(draws.uniform(0, 2))
        process.send_signal(signal.SIGKILL)
        process.wait()
        if Path("n.safetensors").exists():
            break
    assert elastic(f"{MODEL} --epochs 2 --resume --overwrite").code == 0
    assert Path("n.safetensors").read_bytes() == Path("whole.safetensors").read_bytes()


def test_only_asked_for_does_it_go_on(net, refused):
    Path("n.start.safetensors").write_text("begun")
    assert "n.start.safetensors is of a training that was stopped; pass --resume" in refused(MODEL)


REFUSALS = {
    f"nest {NETWORK} {SHORT}": "is no file, so it is taken for a model's name: give --weights and --levels",
    f"{FILE} --levels macs=50%": "net.safetensors is a file, which has its levels and weights; leave out --levels",
    f"{FILE} --between 2": "--between is of --joint, and this is --grow; leave it out",
    f"{FILE} --norms private": "--norms is of --joint, and this is --grow; leave it out",
    f"{FILE} --joint --together 0.5": "--together is of --grow, and this is --joint; leave it out",
    f"{MODEL} --names small": "--names small has 1 for 2 levels; give one each",
}


@pytest.mark.parametrize(("command", "reason"), REFUSALS.items())
def test_what_can_not_be_done_is_told(net, refused, command, reason):
    assert reason in refused(command, code=2)


def test_levels_that_are_asked_for_twice_are_refused(net, refused):
    assert "levels 'macs=25%,25%' ask for the same twice" in refused(MODEL.replace("25%,50%", "25%,25%"))
