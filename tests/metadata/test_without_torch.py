import subprocess
import sys
from pathlib import Path

import pytest
from elastic_files import small_network, write_network

PROGRAM = """
import sys
from elastic.metadata import read_header, read_level, verify_level

for level in range(3):
    read_level(sys.argv[1], level)
    verify_level(sys.argv[1], level)
print(sorted({"torch", "torchvision", "pydantic", "torch_pruning"} & set(sys.modules)))
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_network(tmp_path / "net.safetensors", small_network())
    return tmp_path / "net.safetensors"


def test_reading_a_level_imports_no_torch(path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, path], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
