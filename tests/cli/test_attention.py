"""`elastic attention`: the file, the folder with epochs, pictures and a page, going on after a stop."""

import json

import pytest
from safetensors.torch import load_file

import elastic as toolkit
from elastic.proofs import same_bits
from tests.cli.command_line import kill_at

NETWORK = "elastic/digits_resnet"
TRAIN = "--data digits --batch 64 --no-mirror --shift 1"
SHORT = "--rounds 2 --recovery 1 --ramp 1 --fine-tune 1 --images 0.3 --validation 0.1"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    from tests.cli.command_line import run

    path = tmp_path_factory.mktemp("trained") / "weights.safetensors"
    done = run(f"train {NETWORK} {TRAIN} --epochs 2 -o {path}")
    assert done.code == 0, done
    return path


def test_attention_leaves_a_file_and_a_folder_and_goes_on_to_the_same(elastic, weights, tmp_path, monkeypatch):
    command = f"attention {NETWORK} --weights {weights} {TRAIN} {SHORT} --target macs=60% --json -o"
    done = elastic(f"{command} n.safetensors")
    assert done.code == 0, done.err
    assert [row["level"] for row in done.json["levels"]] == ["macs=60%", "full"]
    stage = done.json["stages"]["macs=60%"]
    assert stage["top1"]["settled"] == stage["top1"]["cut"]
    assert stage["costs"]["settled"] <= 0.6
    whole = toolkit.load_state("n.safetensors", "full")
    assert all(same_bits(tensor, whole[name]) for name, tensor in load_file(weights).items())
    folder = tmp_path / "n.report"
    names = {
        "report.html",
        "report.json",
        "rounds.csv",
        "pruned.svg",
        "accuracy-cost.png",
        "net.0.jsonl",
        "net.4.jsonl",
    }
    assert names <= {path.name for path in folder.iterdir()}
    assert not list(folder.glob("*.training"))
    told = json.loads((folder / "net.0.jsonl").read_text().splitlines()[-1])["told"]
    assert {"density", "cost", "strength", "top1_held_out"} == told.keys()

    with monkeypatch.context() as stopping:
        stopping.setattr("elastic.attending.stages.finished", None)  # it stops after the rounds
        assert elastic(f"{command} again.safetensors").code == 1
    assert "pass --resume to go on" in elastic(f"{command} again.safetensors").err
    assert elastic(f"{command} again.safetensors --resume").code == 0
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "n.safetensors").read_bytes()


@pytest.mark.slow  # seconds, most of which are another process's imports
def test_a_killed_run_goes_on_to_the_same_file(elastic, weights, tmp_path):
    few = "--rounds 1 --recovery 1 --ramp 1 --fine-tune 1 --validation 0.1 --batch 500"
    command = f"attention {NETWORK} --weights {weights} --data digits {few} --target macs=60% -o"
    assert elastic(f"{command} whole.safetensors").code == 0
    kill_at(tmp_path / "killed.report" / "net.1.training", f"{command} killed.safetensors")
    assert not (tmp_path / "killed.safetensors").exists()
    assert elastic(f"{command} killed.safetensors --resume").code == 0
    assert (tmp_path / "killed.safetensors").read_bytes() == (tmp_path / "whole.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        ("--target macs=50% --preset none", 2, "unknown preset 'none'; known: importance, published"),
        ("--target macs=50% --sparse 3", 1, "sparse=3.0 can't be followed"),
        ("--target macs=50% --start energie", 2, "unknown criterion 'energie'"),
        ("--target latency=50%", 1, "a target of latency needs a table of how long"),
    ],
)
def test_what_can_not_be_done_is_refused_at_once(elastic, weights, options, code, told):
    done = elastic(f"attention {NETWORK} --weights {weights} {TRAIN} -o n.safetensors {options}")
    assert done.code == code
    assert told in done.err
    assert done.err.count("error:") == 1


def test_each_width_is_kept_in_each_bits(elastic, weights):
    short = "--rounds 1 --recovery 0 --images 0.3 --fine-tune 0 --validation 0.1"
    command = (
        f"attention {NETWORK} --weights {weights} {TRAIN} {short} --target macs=60% --bits W8A8 --bits W4A8 --json"
    )
    done = elastic(f"{command} -o few.safetensors")
    assert done.code == 0, done.err
    assert [row["level"] for row in done.json["levels"]] == ["macs=60%-W4A8", "macs=60%-W8A8", "full"]
    assert done.json["stages"]["macs=60%"]["bits"].keys() == {"W8A8", "W4A8"}
    assert elastic("verify few.safetensors").code == 0
    found = elastic("eval few.safetensors --level macs=60%-W4A8 --data digits --json")
    assert found.json["top1"] == pytest.approx(done.json["levels"][0]["top1"])
    exported = elastic("export few.safetensors --level macs=60%-W4A8 --to state-dict -o four.safetensors --json")
    assert exported.json["bytes"] == done.json["levels"][0]["bytes"]
