"""Several processes train as one does, to the order in which numbers are added."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

SCRIPT = Path(__file__).with_name("processes.py")


def trained_by(processes, output):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": processes, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "ACCELERATE_USE_CPU": "true"}
    running = []
    for rank in range(processes):
        told = {"OMP_NUM_THREADS": 1, **({"RANK": rank, "LOCAL_RANK": rank, **shared} if processes > 1 else {})}
        environment = os.environ | {name: str(value) for name, value in told.items()}
        running.append(subprocess.Popen([sys.executable, SCRIPT, output], env=environment, stderr=subprocess.PIPE))
    for process in running:
        _, errors = process.communicate(timeout=200)
        assert process.returncode == 0, errors.decode()[-2000:]
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
