"""Several processes count what one does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("processes.py")
ROOT = SCRIPT.parents[2]


def counted_by(processes, store):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(SCRIPT), str(store)]
    running = [
        subprocess.Popen([*command, str(rank), str(processes)], env=environment, stdout=subprocess.PIPE, text=True)
        for rank in range(processes)
    ]
    return [process.communicate(timeout=200)[0] for process in running]


@pytest.mark.slow
def test_two_processes_count_what_one_does(tmp_path):
    (one,) = counted_by(1, tmp_path / "one")
    assert "images=7" in one
    assert counted_by(2, tmp_path / "two") == [one, one]
