import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from elastic_files import Network, expected, networks, same_bits, small_network, write_network
from hypothesis import HealthCheck, given, settings
from safetensors import safe_open

from elastic.metadata import Tensor, blocks, read_level, verify_level

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests/golden/small.safetensors"


def header_of(path: Path) -> tuple[dict, dict, int]:
    """Return the safetensors header, the elastic header in it, and where the data begin."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    return header, json.loads(header.pop("__metadata__")["elastic"]), 8 + length


def test_the_bytes_of_a_file_never_change(tmp_path: Path) -> None:
    write_network(tmp_path / "small.safetensors", small_network(), score=np.array([0.5, 2], np.float32))
    assert (tmp_path / "small.safetensors").read_bytes() == GOLDEN.read_bytes()


@pytest.mark.parametrize("level", range(3))
def test_the_golden_file_reads_as_it_always_did(level: int) -> None:
    network = small_network()
    assert all(same_bits(tensor, expected(network, name, level)) for name, tensor in read_level(GOLDEN, level).items())


def test_any_safetensors_reader_opens_the_smallest_level() -> None:
    network = small_network()
    with safe_open(GOLDEN, framework="numpy") as file:
        for name in ("conv.weight", "bn.running_mean", "bn.num_batches_tracked", "mask", "ü"):
            assert np.array_equal(file.get_tensor(name), expected(network, name, 0).bits)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(network=networks())
def test_the_header_follows_its_published_schema(tmp_path: Path, network: Network) -> None:
    schema = json.loads((ROOT / "docs/elastic-format.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    write_network(tmp_path / "net.safetensors", network, overwrite=True)
    jsonschema.Draft202012Validator(schema).validate(header_of(tmp_path / "net.safetensors")[1])


def parts_of(path: Path, level: int) -> list[str]:
    """Return the keys whose numbers say that they are of a level up to this one; axes are needed by all."""
    found = header_of(path)[0]
    return [
        key for key in found if not key.startswith("~") or (key[1].isdigit() and int(key[1:].split("/")[0]) <= level)
    ]


@pytest.mark.parametrize("levels", [2, 3, 10])
def test_a_level_is_a_prefix_of_each_dtype(tmp_path: Path, levels: int) -> None:
    rng = np.random.default_rng(0)
    shape = (40, 30)
    axes = {axis: rng.integers(0, levels, shape[axis]).astype(np.uint8) for axis in (0, 1)}
    tensors = {
        name: Tensor(dtype, rng.integers(0, 9, shape).astype(kind))
        for name, dtype, kind in (("a", "F32", np.float32), ("Z", "F32", np.float32), ("m", "I64", np.int64))
    }
    path = tmp_path / "net.safetensors"
    write_network(path, Network(tensors, dict.fromkeys(tensors, axes), levels))
    found, _, _ = header_of(path)
    for level in range(levels):
        for dtype in ("F32", "I64"):
            spans = sorted((*entry["data_offsets"], key) for key, entry in found.items() if entry["dtype"] == dtype)
            mine = [key in parts_of(path, level) for *_, key in spans]
            assert mine == sorted(mine, reverse=True)


@pytest.mark.parametrize("level", range(3))
def test_a_level_reads_only_its_own_bytes(tmp_path: Path, level: int) -> None:
    path = tmp_path / "net.safetensors"
    write_network(path, small_network(), score=np.ones(6, np.float32))
    found, _, start = header_of(path)
    needed = {key for key in found if key.startswith("~axis/")} | set(parts_of(path, level))
    if level:
        needed.remove("bn.running_mean")  # superseded by the whole value of level 1
    data = bytearray(path.read_bytes())
    for key in found.keys() - needed:
        first, last = (start + offset for offset in found[key]["data_offsets"])
        data[first:last] = b"\xff" * (last - first)
    path.write_bytes(data)
    verify_level(path, level)


def test_axes_that_are_alike_are_stored_once() -> None:
    found, elastic, _ = header_of(GOLDEN)
    ages = {elastic["axes"][name]["0"] for name in ("conv.weight", "conv.bias", "bn.running_mean")}
    assert len(ages) == 1
    assert len([key for key in found if key.startswith("~axis/")]) == 2


def test_blocks_are_what_the_published_rule_says() -> None:
    network = small_network()
    axes = network.axes["conv.weight"]
    found, _, start = header_of(GOLDEN)
    data = GOLDEN.read_bytes()[start:]
    for level in (1, 2):
        for block in blocks(axes, level):
            first, last = found[f"~{level}/conv.weight/{block.number}"]["data_offsets"]
            wanted = network.tensors["conv.weight"].bits[np.ix_(block.source[0], block.source[1])]
            assert data[first:last] == wanted.tobytes()
