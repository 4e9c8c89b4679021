"""Folders with files that commands are run on."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from elastic import models
from tests.cli.command_line import NETWORK, Done, contents, run


@pytest.fixture
def elastic(tmp_path, monkeypatch) -> Callable[..., Done]:
    """Run commands in a folder of their own."""
    monkeypatch.chdir(tmp_path)
    return run


@pytest.fixture
def refused(tmp_path, monkeypatch) -> Callable[..., str]:
    """Run a command that must be refused: one line, exit 1 or 2, and not a byte in the folder changed."""
    monkeypatch.chdir(tmp_path)

    def refuse(*arguments: object, code: int = 1) -> str:
        before = contents(tmp_path)
        done = run(*arguments)
        assert done.err.startswith("error: "), done
        assert done.err.count("\n") == 1, done.err
        assert (done.code, done.out) == (code, ""), done
        assert contents(tmp_path) == before
        return done.err.removeprefix("error: ").strip()

    return refuse


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Path:
    """A folder with weights.safetensors of a small network, net.safetensors with three levels, and none of JSON."""
    folder = tmp_path_factory.mktemp("made")
    torch.manual_seed(0)
    model = models.build(NETWORK)
    save_file(model.state_dict(), folder / "weights.safetensors")
    targets = ["--target", "macs=50%", "--target", "macs=25%"]
    weights, output = folder / "weights.safetensors", folder / "net.safetensors"
    assert run("prune", NETWORK, "--weights", weights, *targets, "-o", output).code == 0
    return folder


@pytest.fixture
def net(made, tmp_path) -> Path:
    """An elastic file in the current folder, with levels macs=25%, macs=50% and full, and weights.safetensors."""
    shutil.copy(made / "weights.safetensors", tmp_path)
    return Path(shutil.copy(made / "net.safetensors", tmp_path)).relative_to(tmp_path)


@pytest.fixture
def with_header() -> Callable[..., Path]:
    """Write a copy of an elastic file whose header says something else."""

    def write(source: Path, output: Path, **changes: object) -> Path:
        data = source.read_bytes()
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + length])
        described = json.loads(header["__metadata__"]["elastic"])
        header["__metadata__"]["elastic"] = json.dumps(described | changes, sort_keys=True, separators=(",", ":"))
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        output.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])
        return output

    return write
