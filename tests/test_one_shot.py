"""The benchmark of accuracy without training, on networks with random weights and a few images."""

import importlib
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.utils.data import TensorDataset

from elastic import models

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
CASE = "resnet8p_cifar10"
WAYS = ("magnitude L2, global, all layers", "magnitude L2, isomorphic, all layers", "BN scale, per layer, inner layers")


@pytest.fixture
def benchmark(monkeypatch):
    """Return modules of the folder by name, which is on the path while a test runs."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Return a folder with a checkpoint of random weights, and random images in CIFAR-10's layout."""
    torch.manual_seed(0)
    (tmp_path / "checkpoints").mkdir()
    save_file(models.build("elastic/resnet8p").state_dict(), tmp_path / "checkpoints" / f"{CASE}.safetensors")
    images = tmp_path / "cifar-10-batches-py"
    images.mkdir()
    write(images / "batches.meta", {"label_names": list("abcdefghij")})
    for name in (*(f"data_batch_{part}" for part in range(1, 6)), "test_batch"):
        pixels = np.random.default_rng(0).integers(0, 256, (8, 3072), dtype=np.uint8)
        write(images / name, {"data": pixels, "labels": list(range(8))})
    monkeypatch.setenv("ELASTIC_DATA", str(tmp_path))
    return tmp_path


def write(path, content):
    path.write_bytes(pickle.dumps(content, 2))


def subject_of(benchmark, network):
    images = TensorDataset(torch.randn(8, 3, 32, 32), torch.arange(8))
    model = models.build(network).eval()
    return benchmark("one_shot_networks").Subject(model, images[:1][0], images, {"test": images})


def ways(benchmark, *names):
    return [way for way in benchmark("one_shot_theirs").WAYS if str(way) in names]


def test_torch_pruning_is_taken_at_or_just_below_each_level(benchmark):
    subject, levels = subject_of(benchmark, "elastic/resnet8p"), (0.7, 0.5)
    found = benchmark("one_shot_theirs").search(subject, levels, subject.batches(8, 8), ways(benchmark, *WAYS))
    macs_of = benchmark("one_shot_networks").macs_of
    dense = macs_of(subject.model, subject.example)
    shares = {level: [one.macs / dense for one in found.candidates[level]] for level in levels}
    assert all(level - 0.05 < share <= level for level, of_level in shares.items() for share in of_level)
    assert all(one.macs == macs_of(one.network, subject.example) for one in found.candidates[0.5])


def test_what_torch_pruning_cannot_do_is_told_with_its_reason(benchmark):
    subject = subject_of(benchmark, "elastic/resnet20")
    found = benchmark("one_shot_theirs").search(subject, (0.5,), subject.batches(8, 8), ways(benchmark, WAYS[0]))
    assert [(reason.split(":")[0], failed) for reason, failed in found.failures.items()] == [
        ("RuntimeError", [WAYS[0]])
    ]
    assert not found.candidates[0.5]


def test_layers_that_go_into_sums_are_not_inside_of_blocks(benchmark):
    subject = subject_of(benchmark, "elastic/wrn16_1")
    elastic = importlib.import_module("elastic")
    stays = benchmark("one_shot_theirs").inner_only(subject.model, elastic.trace(subject.model, subject.example))
    assert {name for name in stays if name.startswith("layer2.layer.0")} == {
        "layer2.layer.0.conv2",
        "layer2.layer.0.convShortcut",
    }
    assert "linear" in stays


def test_the_hessian_counts_all_samples(benchmark):
    subject = subject_of(benchmark, "elastic/resnet8p")
    gradients = benchmark("one_shot_theirs").gradients_of(subject.model, subject.batches(8, 8))
    name = "linear.weight"
    # A mean of squares is no less than the square of the mean, and equal only where all samples agree.
    assert (gradients["Hessian"][name] >= gradients["Taylor"][name] ** 2).all()
    assert (gradients["Hessian"][name] > gradients["Taylor"][name] ** 2).any()


def test_both_sides_are_recorded_once_and_make_a_table(benchmark, data, tmp_path, capsys):
    run, out = benchmark("one_shot").main, tmp_path / "records.jsonl"
    asked = ["--only", f"{CASE} dense", f"{CASE} 50%*", "--images", "16", "--threads", "1", "--out", str(out)]
    asked += ["--screen", "4", "--seeds", "0", "1", "--ways", *WAYS]
    run(asked)
    records = [json.loads(line) for line in out.read_text().splitlines()]
    assert [record["name"] for record in records] == [f"{CASE} {part}" for part in ("dense", "50% ours", "50% theirs")]
    run(asked)
    assert len(out.read_text().splitlines()) == 3
    run(["--out", str(out), "--table", str(tmp_path / "table.md")])
    (row, *_) = [line for line in (tmp_path / "table.md").read_text().splitlines() if line.startswith(f"| {CASE}")]
    repaired = np.mean([one["repaired"]["test"] for one in records[1]["runs"]])
    assert row.startswith(f"| {CASE} | 50% | {records[0]['accuracy']['test']:.2f} |")
    assert f"**{repaired:.2f} ± " in row
    assert f"| {records[2]['norms']['accuracy']['test']:.2f} |" in row
