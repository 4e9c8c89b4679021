"""`elastic train` and `elastic fine-tune`: killed at any time, the same weights; other levels as they were."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from elastic.checkpoint import load_state
from elastic.proofs import same_bits
from tests.cli.command_line import NETWORK

PROGRAM = Path(sys.executable).with_name("elastic")
SHORT = "--data digits --epochs 2 --batch 256 --shift 1 --no-mirror"
TRAIN = f"train {NETWORK} {SHORT} -o w.safetensors"
TUNE = f"fine-tune net.safetensors {SHORT} -o tuned.safetensors"


def is_same(one, other):
    assert set(one) == set(other)
    return all(same_bits(one[name], other[name]) for name in one)


def test_a_network_is_trained_and_tested(elastic):
    done = elastic(f"{TRAIN} --epochs 5 --json").json
    assert done["top1"] > 60
    assert elastic(f"eval {NETWORK} --weights w.safetensors --data digits --json").json["top1"] == done["top1"]
    lines = [json.loads(line) for line in Path("w.jsonl").read_text().splitlines()]
    assert lines == done["epochs"]
    assert not Path("w.training").exists()


def test_it_goes_on_from_weights(elastic):
    first = elastic(f"{TRAIN} --epochs 5 --json").json
    again = elastic(f"{TRAIN} --weights w.safetensors --learning-rate 1e-9 -o again.safetensors --json").json
    assert again["epochs"][0]["loss"] < first["epochs"][0]["loss"]


def test_a_share_of_the_training_images_is_held_out(elastic):
    epochs = elastic(f"{TRAIN} --validation 0.2 --json").json["epochs"]
    assert all(epoch["validation_top1"] is not None for epoch in epochs)


def test_what_is_killed_goes_on_and_ends_with_the_same_weights(elastic):
    how = TRAIN.replace("--epochs 2", "--epochs 4").replace("--batch 256", "--batch 32")
    assert elastic(how.replace("w.safetensors", "whole.safetensors")).code == 0
    process = subprocess.Popen([PROGRAM, *how.split()], stderr=subprocess.DEVNULL)
    until = time.monotonic() + 100
    while not Path("w.training").exists() and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(0.2)  # into the next epochs
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert Path("w.training").exists()  # else it was not killed in time
    assert not Path("w.safetensors").exists()
    assert elastic(f"{how} --resume").code == 0
    assert is_same(load_file("w.safetensors"), load_file("whole.safetensors"))
    assert len(Path("w.jsonl").read_text().splitlines()) == 4


def test_a_level_is_tuned_and_all_others_stay(net, elastic):
    done = elastic(f"{TUNE} --level macs=50% --epochs 5 --distil 0 --json").json
    assert done["level"] == "macs=50%"
    assert done["top1"]["after"] > done["top1"]["before"]
    for level in (0, 2):
        assert is_same(load_state("tuned.safetensors", level), load_state("net.safetensors", level))
    assert elastic("verify tuned.safetensors --against weights.safetensors").code == 0
    found = elastic("eval tuned.safetensors --level macs=50% --data digits --json").json
    assert found["top1"] == done["top1"]["after"]
    recipe = elastic("info tuned.safetensors --json").json["recipe"]["fine-tuned"]
    assert recipe["macs=50%"]["epochs"] == 5


def test_the_smallest_level_is_tuned_unless_another_is_named(net, elastic):
    assert elastic(f"{TUNE} --json").json["level"] == "macs=25%"


def test_one_level_after_the_other_is_tuned(net, elastic):
    elastic(f"{TUNE} --level 0")
    elastic(f"fine-tune tuned.safetensors {SHORT} --level 1 -o both.safetensors")
    assert is_same(load_state("both.safetensors", 0), load_state("tuned.safetensors", 0))
    assert set(elastic("info both.safetensors --json").json["recipe"]["fine-tuned"]) == {"macs=25%", "macs=50%"}


def test_a_teacher_makes_another_network(net, elastic):
    elastic(TUNE)
    elastic(f"{TUNE} --distil 0 --overwrite -o alone.safetensors")
    assert not is_same(load_state("tuned.safetensors", 0), load_state("alone.safetensors", 0))


@pytest.mark.slow  # where the processor has no products of bfloat16
def test_accelerates_own_mixed_precision_is_that_of_the_recipe(elastic, monkeypatch):
    assert elastic(f"{TRAIN} --precision bfloat16").code == 0
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    subprocess.run([PROGRAM, *TRAIN.replace("w.safe", "mixed.safe").split()], check=True, capture_output=True)
    assert Path("mixed.safetensors").read_bytes() == Path("w.safetensors").read_bytes()


REFUSALS = {
    f"{TRAIN} --learning-rate 0": "learning_rate=0.0 can't be followed",
    f"{TRAIN} --schedule linear": "schedule='linear' can't be followed: Input should be 'one-cycle', 'cosine'",
    f"{TRAIN} --validation 0.0001": "a share of 0.0001 of 1,437 images is 0; at least one",
    f"{TUNE} --level full": "'full' is the largest level of net.safetensors, which stays as it is; name a smaller one",
    f"{TUNE} --level half": "half",
}


@pytest.mark.parametrize(("command", "reason"), REFUSALS.items())
def test_what_can_not_be_done_is_told(net, refused, command, reason):
    assert reason in refused(command, code=2 if command.endswith("half") else 1)


def test_what_was_not_begun_begins_when_it_is_to_go_on(elastic):
    done = elastic(f"{TRAIN} --resume")
    assert done.code == 0
    assert "there is no w.training to go on from; it begins" in done.err


@pytest.mark.parametrize("name", ["w.training", "w.jsonl", "w.safetensors", "w.json"])
def test_nothing_is_overwritten_unasked(refused, tmp_path, name):
    (tmp_path / name).write_text("mine")
    assert name in refused(TRAIN)


SOFT = f"soft-prune {NETWORK} --weights weights.safetensors --target macs=50% {SHORT} -o soft.safetensors"


def test_a_network_is_pruned_softly(net, elastic):
    done = elastic(f"{SOFT} --epochs 3 --json").json
    assert [row["level"] for row in done["levels"]] == ["macs=50%", "full"]
    assert done["came_back"] == sum(epoch["told"]["came_back"] for epoch in done["epochs"])
    assert done["epochs"][0]["told"]["zeroed"] > 0
    assert "zeroed" in Path("soft.jsonl").read_text()
    assert not Path("soft.training").exists()
    assert elastic("info soft.safetensors --json").json["recipe"]["soft"]["ramp"] == 0.5
    found = elastic("eval soft.safetensors --level 0 --data digits --json").json
    assert found["top1"] == done["levels"][0]["top1"]


def test_soft_pruning_says_what_came_back(net, elastic):
    done = elastic(SOFT)
    assert ", zeroed: " in done.err
    assert re.search(r"units came back \d+ times", done.out)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("--patience 2", "patience ends a training early"),
        ("--target macs=0.0001%", "cannot be reached"),
        ("--target half", "can't read the target"),
        ("--criterion best", "best"),
    ],
)
def test_soft_pruning_refuses_before_it_trains(net, refused, options, reason):
    assert reason in refused(f"{SOFT} --epochs 100000 {options}", code=2 if "best" in options else 1)
