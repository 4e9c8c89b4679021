"""`elastic quantise`: levels of few bits from the command line, what it leaves, and what other verbs make of them."""

import pytest

from tests.cli.command_line import kill_at, run

TRAIN = "--data digits --batch 64 --no-mirror --shift 1"
NETWORK = "elastic/digits_resnet"


@pytest.fixture(scope="module")
def floats(tmp_path_factory):
    folder = tmp_path_factory.mktemp("floats")
    weights, file = folder / "w.safetensors", folder / "net.safetensors"
    assert run(f"train {NETWORK} {TRAIN} --epochs 3 -o {weights}").code == 0
    done = run(f"prune {NETWORK} --weights {weights} --target macs=50% --data digits -o {file}")
    assert done.code == 0, done.err
    return file


def test_levels_of_few_bits_are_made_told_of_evaluated_and_exported(elastic, floats, tmp_path):
    done = elastic(
        f"quantise {floats} --level 50% --level full --bits W8A8 --no-train --data digits -o q.safetensors --json"
    )
    assert done.code == 0, done.err
    names = ["macs=50%-W8A8", "full-W8A8", "full"]
    assert [row["level"] for row in done.json["levels"]] == names
    told = elastic("info q.safetensors --json").json["levels"]
    assert told[0]["bytes"] < told[2]["bytes"] / 4
    found = elastic("eval q.safetensors --level 50%-W8A8 --data digits --json").json
    assert found["top1"] == done.json["levels"][0]["top1"] > 80
    assert elastic("verify q.safetensors").code == 0
    whole = floats.with_name("w.safetensors")
    assert elastic(f"rebuild q.safetensors -o whole.safetensors --against {whole}").code == 0
    assert elastic("export q.safetensors --level 0 --to state-dict -o small.safetensors").code == 0
    assert (tmp_path / "small.safetensors").stat().st_size == told[0]["bytes"]
    assert elastic("export q.safetensors --level 0 --to onnx -o small.onnx").code == 0
    left = {path.name for path in (tmp_path / "q.report").iterdir()}
    assert {"report.html", "levels.csv", "accuracy.svg", "bytes.png", "layers-0.csv", "clips-1.png"} <= left
    assert not {"training.csv", "net.0.jsonl"} & left
    assert done.json["top1"][names[0]].keys() == {"float", "calibrated"}


def test_training_with_rounding_leaves_a_folder_with_its_epochs(elastic, floats, tmp_path):
    done = elastic(f"quantise {floats} --level 0 --bits W4A4 {TRAIN} --epochs 1 -o q.safetensors --folder seen --json")
    assert done.code == 0, done.err
    assert [len(epochs) for epochs in done.json["epochs"].values()] == [1]
    assert done.json["report"] == "seen/report.html"
    tops = done.json["top1"]["macs=50%-W4A4"]
    assert tops.keys() == {"float", "calibrated", "trained"}
    assert done.json["levels"][0]["top1"] == tops["trained"]
    left = {path.name for path in (tmp_path / "seen").iterdir()}
    assert {"net.0.jsonl", "training.svg", "loss.csv", "report.json"} <= left
    assert not [name for name in left if name.endswith(".training")]
    assert "is of another run" in elastic(f"quantise {floats} {TRAIN} --folder seen -o p.safetensors").err


@pytest.mark.slow  # seconds, most of which are another process's imports
def test_a_killed_run_goes_on_to_the_same_file(elastic, floats, tmp_path):
    few = "--level 0 --level 1 --bits W4A4 --batch 500 --epochs 1"
    command = f"quantise {floats} --data digits {few} -o"
    assert elastic(f"{command} whole.safetensors").code == 0
    kill_at(tmp_path / "killed.report" / "net.0.training", f"{command} killed.safetensors")
    assert not (tmp_path / "killed.safetensors").exists()
    assert "pass --resume to go on" in elastic(f"{command} killed.safetensors").err
    assert elastic(f"{command} killed.safetensors --resume").code == 0
    assert (tmp_path / "killed.safetensors").read_bytes() == (tmp_path / "whole.safetensors").read_bytes()


# What names nothing is misuse, as everywhere: 2.
@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        ("--bits W9A8", 1, "weights of 9 bits can't be had; give 2 to 8"),
        ("--bits W8A1", 1, "inputs of 1 bits can't be had; give 2 to 8"),
        ("--bits lots", 1, "can't read the bits 'lots'; write W8A8"),
        ("--bits *=float", 1, "leaves every layer of "),
        ("--bits W8A8,layer9*=W4A4", 2, "no layer that can be quantised is called 'layer9*'; there are: conv1, "),
        ("--ranges wide", 2, "unknown ranges 'wide'; known: average, pact, learned"),
        ("--steps wide", 2, "unknown steps of weights 'wide'; known: max, learned"),
        ("--level 5", 2, "no level 5; the file has"),
        ("--level half", 2, "half"),
    ],
)
def test_what_can_not_be_done_is_refused_at_once(refused, floats, options, code, told):
    assert told in refused(f"quantise {floats} --data digits {options} -o q.safetensors", code=code)


def test_a_level_of_few_bits_is_not_rounded_again(refused, floats, tmp_path):
    few = tmp_path / "few.safetensors"
    assert run(f"quantise {floats} --level 0 --no-train --calibration 50 --data digits -o {few}").code == 0
    told = refused(f"quantise {few} --level 0 --data digits -o q.safetensors")
    assert "level 'macs=50%-W8A8' of" in told
    assert "is quantised already; give the file of floats" in told
