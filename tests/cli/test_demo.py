"""`elastic demo` with few epochs: the whole of the main job, files and figures included."""

import json

import pytest
import torch

import elastic as toolkit
from tests.cli.command_line import run

MADE = ["digits-0.onnx", "digits-1.onnx", "digits-2.onnx", "digits.safetensors", "levels.png"]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The folder and the JSON of a short demo."""
    folder = tmp_path_factory.mktemp("demo") / "made"
    return folder, run("demo", "--epochs", "2", "-o", folder, "--json").json


def test_demo_leaves_one_file_of_levels_three_exports_and_a_picture(demo):
    assert sorted(path.name for path in demo[0].iterdir()) == MADE


def test_demo_says_of_every_level_what_it_costs_and_is_worth(demo):
    levels = demo[1]["levels"]
    assert [level["level"] for level in levels] == ["macs=25%", "macs=50%", "full"]
    measured = {"top1", "milliseconds", "onnx_bytes", "onnx_error"}
    assert all(level.keys() == {"level", "params", "macs", "bytes"} | measured for level in levels)


def test_what_demo_says_of_accuracy_is_what_eval_says(demo):
    folder, said = demo
    for level in said["levels"]:
        told = run("eval", folder / "digits.safetensors", "--level", level["level"], "--data", "digits", "--json").json
        assert told["top1"] == level["top1"]


def test_every_proof_holds_of_the_demo_s_file(demo):
    done = run("verify", demo[0] / "digits.safetensors", "--to", "state-dict")
    assert done.out.splitlines()[-1] == "every proof holds"


def test_fitted_levels_have_weights_of_their_own_and_share_the_others(demo):
    small, full = (toolkit.load_state(demo[0] / "digits.safetensors", level) for level in ("smallest", "largest"))
    assert not torch.isin(small["fc.weight"], full["fc.weight"]).all()
    assert torch.isin(small["bn1.weight"], full["bn1.weight"]).all()


@pytest.mark.slow
def test_demo_prints_a_table(tmp_path):
    done = run("demo", "--epochs", "1", "-o", tmp_path / "x")
    lines = done.out.splitlines()
    assert lines[0].split()[0] == "level"
    assert [line.split()[0] for line in lines[1:4]] == ["macs=25%", "macs=50%", "full"]
    assert "rebuilt: 56 tensors, bit for bit the trained network" in done.out
    assert "training: " in done.err


@pytest.mark.slow
def test_the_whole_demo_is_quick_and_learns(tmp_path):
    done = run("demo", "-o", tmp_path / "x", "--json")
    said = json.loads(done.out)
    assert said["seconds"] < 180
    assert min(level["top1"] for level in said["levels"]) > 90
