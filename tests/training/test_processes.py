"""Several processes train as one does, to the order in which numbers are added."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

PROGRAM = Path(sys.executable).with_name("elastic")
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


def trained_by(processes, output):
    run(processes, sys.executable, SCRIPT, output)
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


def test_the_first_of_two_processes_writes_and_prints(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    how = "elastic/digits_resnet --data digits --epochs 1 --batch 500 --validation 0.1 -o w.safetensors"
    printed = run(2, PROGRAM, "train", *how.split())
    assert printed[0].startswith("w.safetensors: top-1")
    assert printed[1] == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["w.json", "w.jsonl", "w.safetensors"]
