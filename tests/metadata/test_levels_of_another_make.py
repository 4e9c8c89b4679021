"""Levels that have other tensors than the largest: integers and scales in place of weights, say."""

import dataclasses
import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from elastic_files import Network, described, expected, random_tensor, same_bits
from safetensors import safe_open

from elastic.errors import ElasticError, FileFormatError, ProofFailed
from elastic.metadata import Header, Tensor, plain_bytes, read_header, read_level, verify_level, write

ROOT = Path(__file__).parents[2]
AGES = np.array([0, 1, 2, 2], np.uint8)
RNG = np.random.default_rng(0)
WEIGHT, BIAS = random_tensor(RNG, "I32", (4, 3)), random_tensor(RNG, "F32", (4,))
PACKED = [Tensor("U8", RNG.integers(0, 256, length).astype(np.uint8)) for length in (3, 6)]
SCALES = [Tensor("F32", RNG.random(length).astype(np.float32)) for length in (1, 2)]


def network(others: tuple[int, ...]) -> tuple[Network, Header]:
    """Return four positions in three levels, of which some have packed bytes and scales for their weight."""
    own = {level: {"w.packed": PACKED[level], "w.scale": SCALES[level]} for level in others}
    private = {level: {**tensors, "b": expected_bias(level)} for level, tensors in own.items()}
    net = Network({"w": WEIGHT, "b": BIAS}, {"w": {0: AGES}, "b": {0: AGES}}, 3, private)
    header = described(net)
    levels = [
        dataclasses.replace(each, own=tuple(own[k]), absent=("w",)) if k in own else each
        for k, each in enumerate(header.levels)
    ]
    return net, dataclasses.replace(header, levels=tuple(levels))


def expected_bias(level: int) -> Tensor:
    return Tensor("F32", BIAS.bits[level >= AGES] + 1)


def save(path: Path, others: tuple[int, ...]) -> Header:
    net, header = network(others)
    return write(path, header, net.tensors, net.axes, private=net.private, overwrite=True)


@pytest.mark.parametrize("others", [(0,), (1,), (0, 1)], ids=str)
def test_each_level_reads_back_as_what_it_was_given(tmp_path: Path, others: tuple[int, ...]) -> None:
    path, (net, _) = tmp_path / "net.safetensors", network(others)
    save(path, others)
    for level in range(3):
        found = read_level(path, level)
        if level in others:
            assert list(found) == ["b", "w.packed", "w.scale"]
            assert same_bits(found["w.packed"], PACKED[level])
            assert same_bits(found["b"], expected_bias(level))
        else:
            assert list(found) == ["w", "b"]
            assert all(same_bits(tensor, expected(net, name, level)) for name, tensor in found.items())
        verify_level(path, level)


def test_a_plain_reader_opens_a_smallest_level_of_integers(tmp_path: Path) -> None:
    save(tmp_path / "net.safetensors", (0,))
    with safe_open(tmp_path / "net.safetensors", framework="numpy") as file:
        assert np.array_equal(file.get_tensor("w.packed"), PACKED[0].bits)
        assert "w" not in file.keys()  # noqa: SIM118


def test_the_header_says_what_each_level_has_and_which_version_that_takes(tmp_path: Path) -> None:
    written = save(tmp_path / "net.safetensors", (1,))
    assert read_header(tmp_path / "net.safetensors") == written
    assert written.version == 2
    assert [(level.own, level.absent) for level in written.levels] == [
        ((), ()), (("w.packed", "w.scale"), ("w",)), ((), ()),
    ]  # fmt: skip
    assert save(tmp_path / "other.safetensors", ()).version == 1


def test_the_header_follows_its_published_schema(tmp_path: Path) -> None:
    save(tmp_path / "net.safetensors", (0, 1))
    with safe_open(tmp_path / "net.safetensors", framework="numpy") as file:
        described = json.loads(file.metadata()["elastic"])
    jsonschema.validate(described, json.loads((ROOT / "docs/elastic-format.schema.json").read_text()))


def test_what_a_level_lacks_is_not_stored_for_it(tmp_path: Path) -> None:
    save(tmp_path / "net.safetensors", (0, 1))
    with safe_open(tmp_path / "net.safetensors", framework="numpy") as file:
        stored = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
    assert {key for key in stored if "/w" in key or key == "w"} == {"~2/w", "~1/w.packed", "~1/w.scale"}
    assert stored["~2/w"] == (4, 3)


def test_a_changed_byte_of_a_level_of_its_own_is_found(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    save(path, (1,))
    data = bytearray(path.read_bytes())
    data[data.rindex(PACKED[1].bits.tobytes())] ^= 1
    path.write_bytes(data)
    with pytest.raises(ProofFailed, match="level 1"):
        verify_level(path, 1)
    verify_level(path, 0)


def level_with(**changes: object) -> Header:
    _, header = network((0,))
    return dataclasses.replace(header, levels=(dataclasses.replace(header.levels[0], **changes), *header.levels[1:]))


REFUSED = {
    "an own tensor that all have": (level_with(own=("w.packed", "b")), "has 'b' of its own, and all levels have it"),
    "a lack of nothing": (level_with(absent=("w", "x")), "lacks 'x', which is no untied tensor"),
    "an own tensor that is not given": (level_with(own=("w.packed", "w.scale", "z")), "'z' of its own, but it is not"),
    "a reserved name": (level_with(own=("~w",)), "can't be called '~w'"),
}


@pytest.mark.parametrize(("header", "match"), REFUSED.values(), ids=REFUSED.keys())
def test_what_could_not_be_read_is_not_written(tmp_path: Path, header: Header, match: str) -> None:
    net, _ = network((0,))
    with pytest.raises(ElasticError, match=match):
        write(tmp_path / "net.safetensors", header, net.tensors, net.axes, private=net.private)
    assert list(tmp_path.iterdir()) == []


def test_the_largest_level_is_of_the_usual_make(tmp_path: Path) -> None:
    net, header = network((0,))
    last = dataclasses.replace(header.levels[-1], absent=("w",))
    with pytest.raises(FileFormatError, match="is the largest: it must have what all levels share"):
        write(
            tmp_path / "n.safetensors", dataclasses.replace(header, levels=(*header.levels[:-1], last)), net.tensors, {}
        )


def test_the_bytes_of_a_level_are_those_of_its_plain_file(tmp_path: Path) -> None:
    save(tmp_path / "net.safetensors", (0,))
    found = read_level(tmp_path / "net.safetensors", 0)
    kinds = {name: (tensor.dtype, tensor.shape) for name, tensor in found.items()}
    assert plain_bytes(kinds) > sum(tensor.bits.nbytes for tensor in found.values())
