import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from elastic_files import small_network, write_network

from elastic.errors import OutputExists, PathError
from elastic.metadata import Tensor, write_plain

FULL_DISK = """
import resource, signal, sys
import numpy as np
from elastic.errors import PathError
from elastic.metadata import Tensor, write_plain

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
try:
    write_plain(sys.argv[1], {"a": Tensor("F32", np.zeros(100_000, np.float32))}, overwrite=True)
except PathError as error:
    print(error)
"""

SLOW = """
import sys, time
import numpy as np
from elastic.metadata import Tensor, write_plain, writer

raw = writer.raw
writer.raw = lambda bits: time.sleep(0.02) or raw(bits)
write_plain(sys.argv[1], {str(n): Tensor("U8", np.ones(100_000, np.uint8)) for n in range(1000)}, overwrite=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_network(tmp_path / "net.safetensors", small_network())
    return tmp_path / "net.safetensors"


def test_a_full_disk_leaves_the_old_file_and_nothing_else(path: Path) -> None:
    before = path.read_bytes()
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, path], capture_output=True, text=True, check=True, timeout=60
    )
    assert "cannot write" in done.stdout
    assert done.stdout.count("\n") == 1
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_process_killed_while_writing_leaves_the_old_file_whole(path: Path) -> None:
    before = path.read_bytes()
    process = subprocess.Popen([sys.executable, "-c", SLOW, path])
    try:
        while not any(each.stat().st_size > 200_000 for each in path.parent.iterdir()):
            assert process.poll() is None
            time.sleep(0.005)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert path.read_bytes() == before
    assert len(list(path.parent.iterdir())) == 2  # what was written so far lies beside it


def test_a_file_in_the_way_is_left_alone(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(OutputExists, match=r"net\.safetensors exists; choose another name"):
        write_network(path, small_network())
    assert path.read_bytes() == before


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(PathError, match=r"cannot write .*nowhere"):
        write_network(tmp_path / "nowhere" / "net.safetensors", small_network())


def test_a_folder_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    with pytest.raises(PathError, match="net"):
        write_network(tmp_path / "net", small_network(), overwrite=True)
    assert [each.name for each in tmp_path.iterdir()] == ["net"]


def test_a_device_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(PathError, match="pipe"):
        write_network(tmp_path / "pipe", small_network(), overwrite=True)
    assert (tmp_path / "pipe").is_fifo()


def test_a_failure_while_the_tensors_are_cut_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError("no room to cut a tensor")

    monkeypatch.setattr("elastic.metadata.writer.raw", fail)
    with pytest.raises(MemoryError, match="no room"):
        write_plain(tmp_path / "net", {"a": Tensor("U8", np.ones(3, np.uint8))})
    assert list(tmp_path.iterdir()) == []


def test_a_failing_replacement_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    before = path.read_bytes()
    for step in ("replace", "rename"):
        monkeypatch.setattr(os, step, fail)
        monkeypatch.setattr(Path, step, fail)
    with pytest.raises(PathError, match="Permission denied"):
        write_network(path, small_network(), overwrite=True)
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_new_file_has_the_permissions_of_any_new_file(path: Path) -> None:
    (path.parent / "other").touch()
    assert path.stat().st_mode == (path.parent / "other").stat().st_mode
