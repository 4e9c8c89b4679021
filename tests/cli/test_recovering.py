"""`elastic prune --recover`: levels are fitted on images without labels, and everything still comes back."""

import pytest

from tests.cli.command_line import NETWORK, run

PRUNE = f"prune {NETWORK} --weights weights.safetensors --target macs=50% -o out.safetensors --data digits --overwrite"


def test_a_level_is_fitted_and_the_whole_network_comes_back(net, elastic):
    done = elastic(f"{PRUNE} --recover --calibration 64 --limit 50 --json").json
    level, whole = done["levels"]
    assert level["top1_after_the_cut"] is not None
    assert "top1_after_the_cut" not in whole
    assert elastic("verify out.safetensors --against weights.safetensors").code == 0
    assert elastic("info out.safetensors --json").json["recipe"]["recovered_on"] == 64


def test_the_table_shows_both_accuracies(net, elastic):
    head = elastic(f"{PRUNE} --recover --calibration 64 --limit 50").out.splitlines()[0].split()
    assert head[-6:] == ["size", "cut", "top-1", "masked", "=", "cut"]


def test_the_file_has_what_the_command_tested(net, elastic):
    tested = elastic(f"{PRUNE} --recover --calibration 64 --json").json["levels"][0]
    found = elastic("eval out.safetensors --data digits --level 0 --json").json
    assert found["top1"] == tested["top1"]


def test_with_data_a_level_is_fitted_unless_that_is_left_out(net, elastic):
    assert "top1_after_the_cut" in elastic(f"{PRUNE} --calibration 64 --limit 50 --json").json["levels"][0]
    done = elastic(f"{PRUNE} --no-recover --calibration 64 --limit 50 --json").json
    assert "top1_after_the_cut" not in done["levels"][0]
    assert "recovered_on" not in elastic("info out.safetensors --json").json["recipe"]


def test_closed_forms_alone_are_rounds_of_none(net, elastic):
    elastic(f"{PRUNE} --calibration 64 --limit 50")
    assert elastic("info out.safetensors --json").json["recipe"]["rounds"] == 2
    elastic(f"{PRUNE} --calibration 64 --limit 50 --rounds 0")
    assert elastic("info out.safetensors --json").json["recipe"]["rounds"] == 0


def test_a_repair_keeps_to_its_memory_or_says_what_it_needs(net, elastic, refused):
    done = elastic(f"{PRUNE} --calibration 64 --limit 50 --memory 8MiB --json").json
    assert "top1_after_the_cut" in done["levels"][0]
    told = run(f"{PRUNE} --calibration 64 --limit 50 --memory 10kB")
    assert told.code == 1
    assert "one input of [1, 8, 8] at a time needs" in told.err
    assert "can't read the size '8images'" in refused(f"{PRUNE} --memory 8images")


@pytest.mark.parametrize("option", ["--memory 1GB", "--rounds 1"])
def test_what_is_of_a_repair_needs_one(net, elastic, refused, option):
    assert "--no-recover; leave one of them out" in refused(f"{PRUNE} --no-recover {option}", code=2)
    without = PRUNE.replace("--data digits", "")
    assert "give --data" in refused(f"{without} {option}", code=2)


@pytest.mark.parametrize("criterion", ["activation", "energy", "taylor", "hessian"])
def test_criteria_that_look_at_data_take_the_training_part(net, elastic, criterion):
    done = elastic(f"{PRUNE} --criterion {criterion} --calibration 32 --limit 20 --json")
    assert done.json["levels"][0]["share_of_macs"] <= 0.5


@pytest.mark.parametrize("option", ["--recover", "--criterion taylor"])
def test_without_data_there_is_nothing_to_learn_from(made, refused, option):
    command = f"prune {NETWORK} --weights {made}/weights.safetensors --target macs=50% -o out.safetensors {option}"
    assert "give --data" in refused(command, code=2)
