"""`elastic dynamic`: gated levels from the command line, their folder, and what other verbs make of them."""

import json
import re

import pytest

from tests.cli.command_line import kill_at

TRAIN = "--data digits --batch 256 --no-mirror --shift 1 --epochs 1 --calibration 64 --maps 1 --curve-images 120"


@pytest.mark.slow
def test_channel_gates_leave_a_file_and_a_folder_that_other_verbs_know(elastic, net, tmp_path):
    done = elastic(
        f"dynamic channel {net} --level 50% --layers layer*.conv? --budget 0.7 {TRAIN} -o g.safetensors --json"
    )
    assert done.code == 0, done.err
    assert re.search(r"settling thresholds: \d+\.\d+ % of the cost, for a budget of 70 %", done.err)
    assert [row["level"] for row in done.json["levels"]] == ["macs=25%", "macs=50%-gated", "full"]
    left = {path.name for path in (tmp_path / "g.report").iterdir()}
    assert {
        "report.html",
        "levels.csv",
        "layers-0.svg",
        "accuracy-computed-0.png",
        "heat-0-0.svg",
        "costs-0.csv",
    } <= left
    assert "net.0.jsonl" in left
    assert not any(name.endswith(".training") for name in left)
    told = json.loads(elastic("info g.safetensors --json").out)["levels"]
    assert [level["make"] for level in told] == ["floats", "gated", "floats"]
    found = elastic("eval g.safetensors --level 50%-gated --data digits --json").json
    assert found["top1"] == told[1]["metrics"]["top1"]
    assert 100 * found["computed"]["share"] == pytest.approx(told[1]["metrics"]["computed"])
    assert "times fewer" in elastic("eval g.safetensors --level 1 --data digits").out
    assert {"savings-0.csv", "savings-0.json"} & left
    skip = "dynamic skip g.safetensors --level 1 --data digits --runs 1 --limit 60 --threads 1"
    done = elastic(f"{skip} --json").json
    assert done["top1"]["skipping"] == done["top1"]["masked"]
    assert {row["computed"] < 1 for row in done["layers"].values()} == {True}
    assert done["masked"] == {}
    assert "times fewer MACs" in elastic(f"{skip} --open-slower").out
    done = elastic("verify g.safetensors --to state-dict")
    assert done.code == 0, done.err
    assert elastic("export g.safetensors --level 1 --to state-dict -o small.safetensors").code == 0
    assert (tmp_path / "small.safetensors").stat().st_size == told[1]["bytes"]
    refused = elastic("dynamic skip g.safetensors --level 0 --data digits")
    assert "level 'macs=25%' of g.safetensors has no channel gates" in refused.err
    refused = elastic("export g.safetensors --level 1 --to onnx -o small.onnx")
    assert refused.code == 1
    assert "has gates that each input decides" in refused.err


@pytest.mark.slow
def test_precision_gates_tell_bits_in_the_mean(elastic, net):
    done = elastic(f"dynamic precision {net} --bits 4 --elsewhere W8A8 {TRAIN} -o g.safetensors --json")
    assert done.code == 0, done.err
    assert done.json["levels"][-2]["level"] == "full-gated-W8A4-2"
    assert 2 < done.json["computed"]["full-gated-W8A4-2"]["average_bits"] < 4
    assert elastic("rebuild g.safetensors -o whole.safetensors --against weights.safetensors").code == 0


@pytest.mark.slow  # seconds, most of which are another process's imports
@pytest.mark.parametrize("verb", ["channel --budget 0.8", "precision --bits 4"])
def test_a_killed_run_goes_on_to_the_same_file(elastic, net, tmp_path, verb):
    how = "--level 50% --level full --data digits --batch 500 --epochs 1 --calibration 64 --curve-images 60 --maps 1"
    command = f"dynamic {verb.split()[0]} {net} {' '.join(verb.split()[1:])} {how} -o"
    assert elastic(f"{command} whole.safetensors").code == 0
    kill_at(tmp_path / "killed.report" / "net.0.training", f"{command} killed.safetensors")
    assert not (tmp_path / "killed.safetensors").exists()
    assert "pass --resume to go on" in elastic(f"{command} killed.safetensors").err
    assert elastic(f"{command} killed.safetensors --resume").code == 0
    assert (tmp_path / "killed.safetensors").read_bytes() == (tmp_path / "whole.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        ("channel --preset none", 2, "unknown preset 'none'; known: paper, published, skipping"),
        ("channel --parts 1", 1, "parts=1 can't be followed"),
        ("channel --granularity row", 1, "granularity='row' can't be followed"),
        ("precision --bits 9", 1, "bits=9 can't be followed"),
        ("precision --preset paper", 2, "unknown preset 'paper'; known: calibrated, published"),
        ("channel --level 7", 2, "no level 7; the file has"),
    ],
)
def test_what_can_not_be_done_is_refused_at_once(net, refused, options, code, told):
    verb, *rest = options.split()
    arguments = ["dynamic", verb, net, *rest, "--data", "digits", "-o", "g.safetensors"]
    assert told in refused(*arguments, code=code)


def test_options_have_the_words_of_the_settings(elastic):
    from elastic.dynamic_gating import ChannelGating, PrecisionGating

    for verb, kind in (("channel", ChannelGating), ("precision", PrecisionGating)):
        shown = elastic(f"dynamic {verb} --help").out
        assert all(f"--{name.replace('_', '-')}" in shown for name in kind.model_fields)
