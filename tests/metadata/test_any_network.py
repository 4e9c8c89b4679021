from pathlib import Path

import numpy as np
import pytest
from elastic_files import Network, expected, networks, same_bits, small_network, write_network
from hypothesis import HealthCheck, given, settings

from elastic.errors import ProofFailed, UnknownName
from elastic.metadata import Tensor, level_digest, read_axes, read_header, read_level, tensor_digest, verify_level

repeated = settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@repeated
@given(network=networks())
def test_every_level_reads_back_as_the_slice_or_the_private_value(tmp_path: Path, network: Network) -> None:
    path = tmp_path / "net.safetensors"
    write_network(path, network, overwrite=True)
    for level in range(network.levels):
        found = read_level(path, level)
        assert list(found) == list(network.tensors)
        assert all(same_bits(tensor, expected(network, name, level)) for name, tensor in found.items())


@repeated
@given(network=networks())
def test_digests_are_those_of_what_is_read(tmp_path: Path, network: Network) -> None:
    path = tmp_path / "net.safetensors"
    header = write_network(path, network, overwrite=True)
    for level in range(network.levels):
        verify_level(path, level)
        digests = {name: tensor_digest(tensor) for name, tensor in read_level(path, level).items()}
        assert header.levels[level].digest == level_digest(digests)
    assert header.digests == digests


@repeated
@given(network=networks())
def test_a_file_read_and_written_again_is_the_same_file(tmp_path: Path, network: Network) -> None:
    one, other = tmp_path / "one.safetensors", tmp_path / "other.safetensors"
    write_network(one, network, overwrite=True)
    largest = network.levels - 1
    # A private value of the largest level stands in front of the shared tensor, which therefore is not read back.
    if largest in network.private:
        return
    again = Network(read_level(one), read_axes(one), network.levels, network.private, read_header(one).aliases)
    write_network(other, again, overwrite=True)
    assert other.read_bytes() == one.read_bytes()


@pytest.mark.parametrize(
    ("asked", "number"),
    [(None, 2), (0, 0), (1, 1), ("level 1", 1), ("smallest", 0), ("largest", 2)],
    ids=["none", "0", "1", "by name", "smallest", "largest"],
)
def test_a_level_is_found_by_number_and_by_name(tmp_path: Path, asked: int | str | None, number: int) -> None:
    path, network = tmp_path / "net.safetensors", small_network()
    write_network(path, network)
    found = read_level(path, asked)
    assert all(same_bits(tensor, expected(network, name, number)) for name, tensor in found.items())


@pytest.mark.parametrize("asked", [3, -1, "level 9", True, ""], ids=str)
def test_an_unknown_level_is_refused_with_those_that_exist(tmp_path: Path, asked: int | str) -> None:
    write_network(tmp_path / "net.safetensors", small_network())
    with pytest.raises(UnknownName, match="level 0, level 1, level 2"):
        read_level(tmp_path / "net.safetensors", asked)


def test_tied_names_share_one_array(tmp_path: Path) -> None:
    write_network(tmp_path / "net.safetensors", small_network())
    for level in range(3):
        found = read_level(tmp_path / "net.safetensors", level)
        assert np.shares_memory(found["tied.weight"].bits, found["conv.weight"].bits)


def test_a_changed_weight_of_the_largest_level_is_named(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    write_network(path, small_network())
    data = bytearray(path.read_bytes())
    place = data.index(np.float32(71).tobytes())  # the last element of conv.weight
    data[place] ^= 1
    path.write_bytes(data)
    with pytest.raises(ProofFailed, match=r"conv\.weight"):
        verify_level(path, "largest")
    verify_level(path, "smallest")


def test_what_is_read_can_be_changed_and_the_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    write_network(path, small_network())
    before = path.read_bytes()
    for level in range(3):
        for tensor in read_level(path, level).values():
            tensor.bits[...] = 0
    assert path.read_bytes() == before


@pytest.mark.parametrize("level", [0, 9, 10, 99, 100, 255])
def test_a_file_holds_as_many_levels_as_a_byte_counts(tmp_path: Path, level: int) -> None:
    ages = np.random.default_rng(0).permutation(256).astype(np.uint8)
    network = Network({"w": Tensor("U8", ages.reshape(256, 1))}, {"w": {0: ages}}, 256)
    write_network(tmp_path / "net.safetensors", network)
    assert same_bits(read_level(tmp_path / "net.safetensors", level)["w"], expected(network, "w", level))
