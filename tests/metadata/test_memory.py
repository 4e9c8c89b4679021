import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from elastic_files import Network, write_network

from elastic.metadata import Tensor, read_level

MIB = 2**20
SHAPE = (1024, 1024)  # 4 MiB


@pytest.fixture
def network() -> Network:
    rng = np.random.default_rng(0)
    axes = {axis: rng.integers(0, 3, SHAPE[axis]).astype(np.uint8) for axis in (0, 1)}
    tensors = {str(n): Tensor("F32", rng.random(SHAPE, np.float32)) for n in range(8)}
    return Network(tensors, dict.fromkeys(tensors, axes), 3)


def peak(action: Callable[[], object]) -> float:
    """Return the most that Python and numpy have allocated at once during a call, in MiB."""
    tracemalloc.start()
    action()
    most = tracemalloc.get_traced_memory()[1] / MIB
    tracemalloc.stop()
    return most


def test_writing_makes_no_second_copy_of_the_network(tmp_path: Path, network: Network) -> None:
    write_network(tmp_path / "net", network)
    assert peak(lambda: write_network(tmp_path / "net", network, overwrite=True)) < 2 * 4


def test_reading_a_level_takes_its_own_size_and_little_more(tmp_path: Path, network: Network) -> None:
    write_network(tmp_path / "net", network)
    assert 8 * 4 <= peak(lambda: read_level(tmp_path / "net")) < 8 * 4 + 4


def test_reading_the_smallest_level_allocates_next_to_nothing(tmp_path: Path, network: Network) -> None:
    write_network(tmp_path / "net", network)
    assert peak(lambda: read_level(tmp_path / "net", 0)) < 1  # its tensors are views of the file
