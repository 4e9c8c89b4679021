from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from elastic_files import described, small_network, write_network

from elastic.errors import ElasticError, FileFormatError, ShellMismatch
from elastic.metadata import Level, Tensor, plain_bytes, read_axes, read_score, read_units, write, write_plain

ONES = Tensor("F32", np.ones((6, 4), np.float32))
AGES = np.array([0, 0, 1, 1, 1, 1], np.uint8)
LEVELS = tuple(Level(name, 1, 1, 1) for name in ("half", "full"))


def write_ones(path: Path, **changed: Any) -> None:
    """Write a network of one tensor with one elastic axis, but for what is changed."""
    header = replace(described(small_network()), levels=LEVELS, aliases={})
    given = {"tensors": {"w": ONES}, "axes": {"w": {0: AGES}}, **changed}
    fields = {name: given.pop(name) for name in ("aliases", "levels", "recipe", "contract") if name in given}
    write(path, replace(header, **fields), **given)


REFUSED = {
    "a name with a tilde": ({"tensors": {"~1/w": ONES}, "axes": {}}, "can't be called '~1/w'"),
    "a name that is metadata": ({"tensors": {"__metadata__": ONES}, "axes": {}}, "can't be called '__metadata__'"),
    "a name that is another's block": (
        {"tensors": {"w": ONES, "w/0": ONES}},
        "'w/0' could be stored as a block of 'w'",
    ),
    "a name that is not printable": ({"tensors": {"a\nb": ONES}, "axes": {}}, "plain names"),
    "an alias of a missing name": ({"aliases": {"w": "nothing"}}, "both must be tensors"),
    "an alias that is missing": ({"aliases": {"nothing": "w"}}, "both must be tensors"),
    "an alias with other values": (
        {"aliases": {"v": "w"}, "tensors": {"w": ONES, "v": Tensor("F32", np.zeros((6, 4), np.float32))}},
        "'v' is said to be tied to 'w', but has other values",
    ),
    "axes of an alias": (
        {"aliases": {"v": "w"}, "tensors": {"w": ONES, "v": ONES}, "axes": {"v": {0: AGES}}},
        "axes are given for 'v'",
    ),
    "axes of a missing tensor": ({"axes": {"nothing": {0: AGES}}}, "axes are given for 'nothing'"),
    "levels for too few positions": (
        {"axes": {"w": {0: AGES[:5]}}},
        r"w has shape \[6, 4\], given uint8 \[5\] for axis 0",
    ),
    "levels of another dtype": ({"axes": {"w": {0: AGES.astype(np.int64)}}}, "give one uint8 a position"),
    "levels of an axis that is not there": ({"axes": {"w": {2: AGES}}}, "for axis 2"),
    "a level that the file lacks": (
        {"axes": {"w": {0: AGES + 1}}},
        "w has level 2 along axis 0, the file has 2 levels",
    ),
    "units of another dtype": ({"units": {"w": {0: AGES}}}, "give one int32 a position"),
    "a private tensor of no level": ({"private": {2: {"w": ONES}}}, "private to level 2"),
    "a private tensor without a name": ({"private": {0: {"v": ONES}}}, "'v' is private to level 0"),
    "a private tensor of another shape": ({"private": {0: {"w": ONES}}}, r"asks for F32 \[2, 4\]"),
    "a private tensor of another dtype": (
        {"private": {1: {"w": Tensor("BF16", np.ones((6, 4), np.uint16))}}},
        r"with BF16 \[6, 4\], the level asks for F32",
    ),
    "no levels": ({"levels": (), "axes": {}}, "0 levels can't be stored"),
    "too many levels": ({"levels": tuple(Level(str(n), 1, 1, 1) for n in range(257))}, "257 levels can't be stored"),
    "two levels of one name": ({"levels": (LEVELS[0], LEVELS[0])}, "the same name twice"),
    "a level without a name": ({"levels": (LEVELS[0], Level("", 1, 1, 1))}, "must be plain text"),
    "a metric that is not finite": (
        {"levels": (LEVELS[0], Level("full", 1, 1, 1, {"accuracy": float("nan")}))},
        "only finite numbers",
    ),
    "a metric with an odd name": ({"levels": (LEVELS[0], Level("full", 1, 1, 1, {"\n": 1.0}))}, "no plain name"),
    "a recipe that is not JSON": ({"recipe": {"seed": {1, 2}}}, "holds a set; only JSON's own types"),
    "a recipe with a key that is no text": ({"recipe": {1: "one"}}, "holds the key 1; keys are texts"),
    "an unknown contract": ({"contract": "loose"}, "must be one of exact, nested, joint"),
    "scores of another dtype": ({"score": np.ones(3)}, "bits of F32 are float32, not float64"),
}


@pytest.mark.parametrize(("changed", "match"), REFUSED.values(), ids=REFUSED.keys())
def test_what_could_not_be_read_back_is_not_written(tmp_path: Path, changed: dict[str, Any], match: str) -> None:
    write_ones(tmp_path / "fine")
    with pytest.raises(ElasticError, match=match):
        write_ones(tmp_path / "refused", **changed)
    assert [each.name for each in tmp_path.iterdir()] == ["fine"]


def test_the_error_says_which_kind_of_mistake_it_was(tmp_path: Path) -> None:
    with pytest.raises(ShellMismatch, match="w has level 2"):
        write_ones(tmp_path / "net", axes={"w": {0: AGES + 1}})
    with pytest.raises(FileFormatError, match="can't be called"):
        write_ones(tmp_path / "net", tensors={"~": ONES}, axes={})


@pytest.mark.parametrize(
    ("dtype", "match"), [("F4", "dtype 'F4' can't be stored"), ("F64", "bits of F64 are float64, not float32")]
)
def test_bits_of_another_width_are_no_tensor(dtype: str, match: str) -> None:
    with pytest.raises(FileFormatError, match=match):
        Tensor(dtype, np.ones(2, np.float32))


def test_a_plain_file_takes_only_names_that_are_text(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="not Unicode"):
        write_plain(tmp_path / "plain", {"\ud800": ONES})
    assert list(tmp_path.iterdir()) == []


def test_the_size_of_an_unknown_dtype_is_refused() -> None:
    with pytest.raises(FileFormatError, match="w has dtype 'F4', which can't be stored"):
        plain_bytes({"w": ("F4", (2,))})


def test_levels_units_and_scores_come_back_as_they_were_given(tmp_path: Path) -> None:
    units, score = np.array([4, 3, 2, 1, 0, -1], np.int32), np.array([0.5, 1, 2, 3, 4], np.float32)
    write_ones(tmp_path / "net", units={"w": {0: units}}, score=score)
    assert read_axes(tmp_path / "net")["w"][0].tolist() == AGES.tolist()
    assert read_units(tmp_path / "net")["w"][0].tolist() == units.tolist()
    assert read_score(tmp_path / "net").tolist() == score.tolist()


def test_a_file_without_labels_has_none(tmp_path: Path) -> None:
    write_network(tmp_path / "net", small_network())
    assert read_units(tmp_path / "net") == {}
    assert read_score(tmp_path / "net") is None
