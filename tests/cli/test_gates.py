"""`elastic gate`: the file, the folder with epochs, pictures and a page, going on after a kill."""

import json

import pytest
from safetensors.torch import load_file

import elastic as toolkit
from elastic.proofs import same_bits
from tests.cli.command_line import kill_at

NETWORK = "elastic/digits_resnet"
TRAIN = "--data digits --batch 64 --no-mirror --shift 1"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    from tests.cli.command_line import run

    path = tmp_path_factory.mktemp("trained") / "weights.safetensors"
    done = run(f"train {NETWORK} {TRAIN} --epochs 4 -o {path}")
    assert done.code == 0, done
    return path


def test_gating_leaves_a_file_and_a_folder(elastic, weights, tmp_path):
    done = elastic(
        f"gate channels {NETWORK} --weights {weights} {TRAIN} --epochs 2 --fine-tune 1 "
        "--target macs=70% --target macs=40% --validation 0.1 -o n.safetensors --json"
    )
    assert done.code == 0, done.err
    found = done.json
    assert [row["level"] for row in found["levels"]] == ["macs=40%", "macs=70%", "full"]
    assert found["levels"][0]["macs"] <= 0.4 * found["levels"][-1]["macs"]
    stage = found["stages"]["macs=40%"]["top1"]
    assert stage["hard"] == stage["cut"]
    assert found["levels"][0]["top1"] == stage["tuned"]
    whole = toolkit.load_state("n.safetensors", "full")
    assert all(same_bits(tensor, whole[name]) for name, tensor in load_file(weights).items())
    again = elastic(
        f"prune {NETWORK} --weights {weights} --target macs=55% --gates n.safetensors -o p.safetensors --json"
    )
    assert again.code == 0, again.err
    assert 0.5 < again.json["levels"][0]["share_of_macs"] <= 0.55
    folder = tmp_path / "n.report"
    assert {
        "report.html",
        "report.json",
        "networks.csv",
        "density.svg",
        "density.png",
        "net.0.jsonl",
        "net.3.jsonl",
    } <= {path.name for path in folder.iterdir()}
    assert not list(folder.glob("*.training"))
    told = json.loads((folder / "net.0.jsonl").read_text().splitlines()[-1])["told"]
    assert {"density_soft", "density_hard", "macs_soft", "macs_hard", "top1_soft", "top1_hard"} <= told.keys()


def test_gating_weights_leaves_files_and_a_folder(elastic, weights, tmp_path):
    done = elastic(
        f"gate weights {NETWORK} --weights {weights} {TRAIN} --epochs 1 --fine-tune 1 --target 0.8 --strength 1e-4 "
        "-o n.safetensors --json"
    )
    assert done.code == 0, done.err
    fixed, aimed = done.json["aims"]
    assert [fixed["aim"], aimed["aim"]] == ["lambda=0.0001", "zeros=0.8"]
    assert aimed["zeros"] >= 0.8
    assert {"soft", "hard", "fine-tuned", "cut"} == aimed["top1"].keys()
    assert {"hard", "fine-tuned", "cut"} == aimed["magnitude"].keys()
    assert aimed["bytes"] == (tmp_path / "n.1.sparse.safetensors").stat().st_size < 0.5 * weights.stat().st_size
    small = toolkit.load_state("n.1.safetensors", 0)
    sparse = toolkit.load_sparse("n.1.sparse.safetensors")
    assert all(same_bits(tensor, sparse[name]) for name, tensor in small.items())
    whole = toolkit.load_state("n.1.safetensors", "full")
    assert all(same_bits(tensor, whole[name]) for name, tensor in load_file(weights).items())
    left = {path.name for path in (tmp_path / "n.report").iterdir()}
    assert {"report.html", "networks.csv", "sparsity.svg", "gates.csv", "net.0.gates.jsonl", "net.1.tune.jsonl"} <= left


def test_adaptive_gates_leave_weights_and_a_folder(elastic, weights, tmp_path):
    done = elastic(
        f"gate adaptive {NETWORK} --weights {weights} {TRAIN} --epochs 3 --target macs=60% -o a.safetensors --json"
    )
    assert done.code == 0, done.err
    assert 0.4 < done.json["share"] < 0.75
    assert done.json["top1"] > 80
    assert any(name.startswith("deciders.") for name in load_file("a.safetensors"))
    left = {path.name for path in (tmp_path / "a.report").iterdir()}
    assert {"report.html", "network.csv", "density.svg", "opened.csv", "net.0.jsonl"} <= left


@pytest.mark.slow  # half a minute, most of which are other processes' imports
def test_a_killed_run_goes_on_to_the_same_file(elastic, weights, tmp_path):
    command = f"gate channels {NETWORK} --weights {weights} {TRAIN} --epochs 2 --fine-tune 1 --target macs=60% -o"
    assert elastic(f"{command} whole.safetensors").code == 0
    for attempt, resume in enumerate(["", "--resume"]):
        kill_at(tmp_path / "killed.report" / f"net.{attempt}.training", f"{command} killed.safetensors {resume}")
    if not (tmp_path / "killed.safetensors").exists():
        assert elastic(f"{command} killed.safetensors").code == 1  # there is a training to go on with
        assert elastic(f"{command} killed.safetensors --resume").code == 0
    assert (tmp_path / "killed.safetensors").read_bytes() == (tmp_path / "whole.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        ("", 2, "neither was given"),
        ("--target macs=50% --preset none", 2, "unknown preset 'none'; known: hard-concrete, binary, lag"),
        ("--target macs=50% --cooling 3", 1, "cooling=3.0 can't be followed"),
        ("--target macs=50% --latency-table none.json", 1, "can't read the latency table none.json"),
        ("--target latency=50%", 1, "a target of latency needs a table of how long"),
    ],
)
def test_what_can_not_be_done_is_refused_at_once(elastic, weights, options, code, told):
    done = elastic(f"gate channels {NETWORK} --weights {weights} {TRAIN} -o n.safetensors {options}")
    assert done.code == code
    assert told in done.err
    assert done.err.count("error:") == 1
