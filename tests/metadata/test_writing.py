import dataclasses
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from elastic_files import Network, described, same_bits, small_network, write_network

from elastic.errors import ElasticError, FileFormatError
from elastic.metadata import Tensor, read_axes, read_header, read_level, read_score, read_units, write

ONE = Tensor("F32", np.ones((2, 3), np.float32))
AGES = np.array([0, 1], np.uint8)


def network(**changes: Any) -> Network:
    return dataclasses.replace(Network({"a": ONE}, {"a": {0: AGES}}, 2), **changes)


REFUSED = {
    "a reserved name": (network(tensors={"~1/a": ONE}, axes={}), "~1/a"),
    "the container's own name": (network(tensors={"__metadata__": ONE}, axes={}), "__metadata__"),
    "a name that could be a block": (network(tensors={"a": ONE, "a/0": ONE}), "a/0"),
    "an unprintable name": (network(tensors={"a\nb": ONE}, axes={}), "plain"),
    "an axis of an unknown tensor": (network(axes={"b": {0: AGES}}), "'b'"),
    "an axis that is not there": (network(axes={"a": {2: AGES}}), "axis 2"),
    "an axis of another length": (network(axes={"a": {1: AGES}}), r"\[2, 3\]"),
    "levels of another type": (network(axes={"a": {0: AGES.astype(np.int64)}}), "int64"),
    "a level beyond the last": (network(axes={"a": {0: AGES + 1}}), "level 2"),
    "a private tensor of another shape": (network(private={0: {"a": ONE}}), r"\[1, 3\]"),
    "a private tensor of an unknown name": (network(private={0: {"b": ONE}}), "'b'"),
    "a private tensor of an unknown level": (network(private={2: {"a": ONE}}), "level 2"),
    "an alias of nothing": (network(tensors={"a": ONE, "b": ONE}, aliases={"b": "c"}), "'c'"),
    "an alias that is not there": (network(aliases={"b": "a"}), "'b'"),
    "an alias of other values": (
        network(tensors={"a": ONE, "b": Tensor("F32", np.zeros((2, 3), np.float32))}, aliases={"b": "a"}),
        "tied",
    ),
}


@pytest.mark.parametrize(("wrong", "match"), REFUSED.values(), ids=REFUSED.keys())
def test_what_could_not_be_read_is_not_written(tmp_path: Path, wrong: Network, match: str) -> None:
    with pytest.raises(ElasticError, match=match):
        write_network(tmp_path / "net.safetensors", wrong)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda h: dataclasses.replace(h, contract="loose"), "exact, nested, joint"),
        (lambda h: dataclasses.replace(h, recipe={"seconds": float("nan")}), "nan"),
        (lambda h: dataclasses.replace(h, plan={"labels": np.zeros(3)}), "ndarray"),
        (lambda h: dataclasses.replace(h, levels=()), "levels"),
        (lambda h: dataclasses.replace(h, levels=(h.levels[0], h.levels[0])), "twice"),
    ],
    ids=["contract", "nan", "array", "no levels", "doubled name"],
)
def test_a_header_that_could_not_be_read_is_not_written(tmp_path: Path, change: Callable[..., Any], match: str) -> None:
    fine = network()
    with pytest.raises(FileFormatError, match=match):
        write(tmp_path / "net.safetensors", change(described(fine)), fine.tensors, {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("dtype", "bits"), [("F33", np.float32), ("BF16", np.float16), ("F32", np.int32)])
def test_bits_of_another_type_are_no_tensor(dtype: str, bits: type) -> None:
    with pytest.raises(FileFormatError, match=dtype):
        Tensor(dtype, np.zeros(2, bits))


def test_what_was_written_is_what_the_header_says(tmp_path: Path) -> None:
    written = write_network(tmp_path / "net.safetensors", small_network())
    assert read_header(tmp_path / "net.safetensors") == written


def test_axes_units_and_scores_come_back(tmp_path: Path) -> None:
    path, fine = tmp_path / "net.safetensors", small_network()
    units = {"conv.weight": {0: np.arange(6, dtype=np.int32), 1: np.array([-1, 6, 7, -1], np.int32)}}
    write_network(path, fine, units=units, score=np.arange(8, dtype=np.float32))
    for found, wanted in ((read_axes(path), fine.axes), (read_units(path), units)):
        assert {name: list(axes) for name, axes in found.items()} == {name: list(axes) for name, axes in wanted.items()}
        assert all(np.array_equal(found[name][axis], wanted[name][axis]) for name in wanted for axis in wanted[name])
    assert np.array_equal(read_score(path), np.arange(8, dtype=np.float32))


def test_a_file_without_units_and_scores_has_none(tmp_path: Path) -> None:
    write_network(tmp_path / "net.safetensors", small_network())
    assert read_units(tmp_path / "net.safetensors") == {}
    assert read_score(tmp_path / "net.safetensors") is None


def test_the_order_in_which_axes_are_given_changes_nothing(tmp_path: Path) -> None:
    one, other = small_network(), small_network()
    reverse = {name: dict(reversed(axes.items())) for name, axes in reversed(other.axes.items())}
    write_network(tmp_path / "one", one)
    write_network(tmp_path / "other", dataclasses.replace(other, axes=reverse))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_transposed_arrays_are_stored_in_order(tmp_path: Path) -> None:
    turned = Tensor("F32", np.arange(12, dtype=np.float32).reshape(3, 4).T)
    write_network(tmp_path / "net.safetensors", Network({"a": turned}, {"a": {0: np.array([0, 1, 1, 0], np.uint8)}}, 2))
    assert same_bits(read_level(tmp_path / "net.safetensors")["a"], turned)


def large(tensors: int = 40) -> Network:
    rng = np.random.default_rng(0)
    axes = {axis: rng.integers(0, 3, 256).astype(np.uint8) for axis in (0, 1)}
    names = [f"layer{number}.weight" for number in range(tensors)]
    weights = {name: Tensor("F32", rng.random((256, 256, 1, 1), np.float32)) for name in names}
    return Network(weights, dict.fromkeys(names, axes), 3)


def peak(work: Callable[[], object]) -> int:
    tracemalloc.start()
    work()
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found


def test_reading_takes_little_more_memory_than_the_level(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    write_network(path, large())
    size = sum(tensor.bits.nbytes for tensor in large().tensors.values())
    assert peak(lambda: read_level(path)) < 1.25 * size


def test_writing_makes_no_second_copy_of_the_network(tmp_path: Path) -> None:
    whole = large()
    size = sum(tensor.bits.nbytes for tensor in whole.tensors.values())
    assert peak(lambda: write_network(tmp_path / "net.safetensors", whole)) < 0.25 * size
