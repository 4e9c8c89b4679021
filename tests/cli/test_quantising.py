"""`elastic quantise`: levels of few bits from the command line, and what other verbs make of them."""

import pytest

TRAIN = "--data digits --batch 64 --no-mirror --shift 1"
NETWORK = "elastic/digits_resnet"


@pytest.fixture
def floats(elastic):
    assert elastic(f"train {NETWORK} {TRAIN} --epochs 3 -o w.safetensors").code == 0
    done = elastic(f"prune {NETWORK} --weights w.safetensors --target macs=50% --data digits -o net.safetensors")
    assert done.code == 0, done.err
    return "net.safetensors"


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
    assert elastic("rebuild q.safetensors -o whole.safetensors --against w.safetensors").code == 0
    assert elastic("export q.safetensors --level 0 --to state-dict -o small.safetensors").code == 0
    assert (tmp_path / "small.safetensors").stat().st_size == told[0]["bytes"]
    assert elastic("export q.safetensors --level 0 --to onnx -o small.onnx").code == 0


def test_training_with_rounding_tells_its_epochs_and_leaves_nothing_behind(elastic, floats, tmp_path):
    done = elastic(f"quantise {floats} --level 0 --bits W4A4 {TRAIN} --epochs 1 -o q.safetensors --json")
    assert done.code == 0, done.err
    assert [len(epochs) for epochs in done.json["epochs"].values()] == [1]
    assert (tmp_path / "q.0.jsonl").exists()
    assert not list(tmp_path.glob("*.training"))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("--bits W9A8", "weights of 9 bits can't be had; give 2 to 8"),
        ("--bits lots", "can't read the bits 'lots'; write W8A8"),
        ("--bits W8A8,layer9*=W4A4", "no layer that can be quantised is called 'layer9"),
        ("--ranges wide", "unknown ranges 'wide'; known: average, pact, learned"),
        ("--level 5", "no level 5; the file has"),
    ],
)
def test_what_can_not_be_done_is_refused(elastic, floats, options, told, tmp_path):
    done = elastic(f"quantise {floats} --data digits --no-train {options} -o q.safetensors")
    assert done.code in (1, 2)
    assert told in done.err
    assert not (tmp_path / "q.safetensors").exists()
