"""Several processes train as one does, to the order in which numbers are added."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from elastic import models
from elastic.checkpoint import load_state
from elastic.planned import load_plan

PROGRAM = Path(sys.executable).with_name("elastic")
NETWORK = "elastic/digits_resnet"
SCRIPT = Path(__file__).with_name("processes.py")


def run(processes, *command):
    """Run a command in so many processes at once, as `torchrun` does; return what each prints."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": processes, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "ACCELERATE_USE_CPU": "true"}
    running, printed = [], []
    for rank in range(processes):
        told = {"OMP_NUM_THREADS": 1, **({"RANK": rank, "LOCAL_RANK": rank, **shared} if processes > 1 else {})}
        environment = os.environ | {name: str(value) for name, value in told.items()}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        running.append(subprocess.Popen(command, env=environment, **pipes))
    for process in running:
        out, errors = process.communicate(timeout=200)
        assert process.returncode == 0, errors.decode()[-2000:]
        printed.append(out.decode())
    return printed


def trained_by(processes, output, *how):
    run(processes, sys.executable, SCRIPT, output, *how)
    return load_file(output)


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    return trained_by(1, tmp_path_factory.mktemp("one") / "net.safetensors")


def test_two_processes_make_the_weights_that_one_makes(one, tmp_path):
    two = trained_by(2, tmp_path / "net.safetensors")
    assert set(one) == set(two)
    for name, tensor in one.items():
        torch.testing.assert_close(
            two[name], tensor, rtol=1e-3, atol=1e-4, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.mark.slow
@pytest.mark.parametrize("how", ["rounded", "gated"])
def test_two_processes_round_and_decide_as_one_does(tmp_path, how):
    one, two = (trained_by(number, tmp_path / f"{number}.safetensors", how) for number in (1, 2))
    for name, tensor in one.items():
        torch.testing.assert_close(
            two[name], tensor, rtol=1e-3, atol=1e-3, msg=lambda text, name=name: f"{name}: {text}"
        )


def test_the_first_of_two_processes_writes_and_prints(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    how = "elastic/digits_resnet --data digits --epochs 1 --batch 500 --validation 0.1 -o w.safetensors"
    printed = run(2, PROGRAM, "train", *how.split())
    assert printed[0].startswith("w.safetensors: top-1")
    assert printed[1] == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["w.json", "w.jsonl", "w.safetensors"]


@pytest.mark.parametrize("way", ["--grow", pytest.param("--joint", marks=pytest.mark.slow)])
def test_two_processes_nest_what_one_nests(tmp_path, monkeypatch, way):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    save_file(models.build(NETWORK).state_dict(), "w.safetensors")
    how = (
        f"{NETWORK} --weights w.safetensors --data digits --levels macs=30%,60% --calibration 64 --epochs 1 --batch 250"
    )
    for processes in (1, 2):
        run(processes, PROGRAM, "nest", *f"{how} --shift 1 --no-mirror {way} -o {processes}.safetensors".split())
    one, two = (load_plan(f"{processes}.safetensors") for processes in (1, 2))
    assert np.array_equal(one.levels, two.levels)
    np.testing.assert_allclose(one.scores, two.scores, rtol=1e-6)
    for level in range(3):
        wanted, found = (load_state(f"{processes}.safetensors", level) for processes in (1, 2))
        for name, tensor in wanted.items():
            torch.testing.assert_close(
                found[name], tensor, rtol=1e-2, atol=1e-3, msg=lambda text, n=name: f"{n}: {text}"
            )
