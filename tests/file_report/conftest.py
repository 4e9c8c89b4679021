"""A small file with what a run leaves beside it, and its page."""

import json
from types import SimpleNamespace

import pytest
import torch

import elastic
from elastic import models
from elastic.comparing import Header, Measured, Run
from elastic.data import Preprocessing
from elastic.metadata import read_header
from elastic.training.records import Epoch

NETWORK = "elastic/digits_resnet"
TOP1 = {"macs=25%": 90.5, "macs=50%": 95.25, "full": 97.5}
RUNS = {
    ("magnitude", "global"): 3.0,
    ("magnitude", "uniform"): 1.0,
    ("random", "global"): -2.0,
    ("random", "uniform"): 0.0,
}


def epoch(number, held_out):
    return Epoch(
        epoch=number, loss=2.5 / number, top1=80.0 + number, learning_rate=0.1, seconds=2.0, images_per_second=500.0,
        validation_loss=3.0 / number if held_out else None, validation_top1=75.0 + number if held_out else None,
    )  # fmt: skip


def write_epochs(path, *, held_out=False):
    path.write_text("".join(epoch(number, held_out).model_dump_json() + "\n" for number in (1, 2, 3)))


def write_comparison(path, weights):
    header = Header(
        version="0", weights=weights, target="macs=50%", recover=False, settings={}, whole=Measured.of(97.5)
    )
    runs = [
        Run(
            criterion=criterion, allocation=allocation, seed=seed, options={}, macs=0.5, params=0.55,
            cut=Measured.of(80.0 + better * (1 + seed / 50)),
        )
        for (criterion, allocation), better in RUNS.items()
        for seed in range(3)
    ]  # fmt: skip
    path.write_text("".join(each.model_dump_json() + "\n" for each in (header, *runs)))


@pytest.fixture(scope="session")
def reported(tmp_path_factory):
    """A folder with net.safetensors, epochs and a comparison; its report, page and the folder of its pictures."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("reported")
    path, kept = folder / "net.safetensors", folder / "net.report"
    pruned = elastic.prune(models.build(NETWORK), torch.randn(1, 1, 8, 8), target=["macs=50%", "macs=25%"])
    pruned.save(
        path,
        model_name=NETWORK,
        input=Preprocessing.default(NETWORK).to_dict(),
        metrics={name: {"top1": top1} for name, top1 in TOP1.items()},
    )
    kept.mkdir()
    write_epochs(folder / "net.jsonl")
    write_epochs(kept / "net.0.jsonl", held_out=True)
    write_comparison(kept / "runs.jsonl", read_header(path).levels[-1].digest)
    page, files = folder / "page.html", folder / "files"
    report = elastic.report(path, page, to="state-dict", folder=files)
    figures = json.loads((files / "report.json").read_text(encoding="utf-8"))
    return SimpleNamespace(path=path, page=page, files=files, report=report, figures=figures, plan=pruned.plan)
