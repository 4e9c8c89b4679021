"""Files whose containers are sound, but whose parts don't fit together: made by hand, part by part."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from elastic_files import small_network, write_network
from safetensors import safe_open

from elastic.errors import ElasticError, FileFormatError, ProofFailed, ShellMismatch
from elastic.metadata import Tensor, read_level, read_score, verify_level, write_plain
from elastic.metadata.container import open_container

Parts = dict[str, Tensor]


def changed(path: Path, change: Callable[[Parts], object]) -> Path:
    """Write the small network with some of its parts changed, and a container that suits them."""
    write_network(path, small_network(), score=np.ones(2, np.float32), overwrite=True)
    with safe_open(path, framework="numpy") as file:
        text = file.metadata()
    stored = open_container(path)
    parts = {key: Tensor(entry.dtype, stored.bits(key)) for key, entry in stored.entries.items()}
    change(parts)
    write_plain(path.with_suffix(".changed"), parts, text)
    return path.with_suffix(".changed")


def cut(tensor: Tensor) -> Tensor:
    return Tensor(tensor.dtype, tensor.bits[:-1])


MISFITS = {
    "a block is missing": (lambda p: p.pop("~1/conv.weight/1"), "~1/conv.weight/1 is not stored"),
    "a block is too short": (lambda p: p.update({"~2/conv.weight/0": cut(p["~2/conv.weight/0"])}), "axes ask for F32"),
    "a block has another dtype": (
        lambda p: p.update({"~1/conv.bias/0": Tensor("F16", p["~1/conv.bias/0"].bits.view(np.float16))}),
        "~1/conv.bias/0 is F16",
    ),
    "the core is too short": (lambda p: p.update({"conv.bias": cut(p["conv.bias"])}), "conv.bias is BF16"),
    "a tensor has no axes": (
        lambda p: p.update({"conv.bias": Tensor("BF16", np.array(1, np.uint16))}),
        "conv.bias has 0 axes, but levels along axis 0",
    ),
}


@pytest.mark.parametrize(("change", "match"), MISFITS.values(), ids=MISFITS.keys())
def test_parts_that_do_not_fit_are_refused(tmp_path: Path, change: Callable[[Parts], object], match: str) -> None:
    path = changed(tmp_path / "net", change)
    with pytest.raises(ShellMismatch, match=match):
        read_level(path)


UNKNOWN = {
    "a key without a tensor": (lambda p: p.update({"stranger": p["mask"]}), "stores 'stranger'"),
    "a block of no tensor": (lambda p: p.update({"~1/stranger/0": p["mask"]}), "stores '~1/stranger/0'"),
    "a level too high": (lambda p: p.update({"~3/mask": p["mask"]}), "stores '~3/mask'"),
    "an axis that nothing uses": (lambda p: p.update({"~axis/9": p["~axis/0"]}), "stores '~axis/9'"),
    "axis levels of another dtype": (
        lambda p: p.update({"~axis/0": Tensor("I8", p["~axis/0"].bits.view(np.int8))}),
        r"~axis/0 is I8 \[6\], not U8",
    ),
    "axis levels that are too high": (
        lambda p: p.update({"~axis/0": Tensor("U8", p["~axis/0"].bits + 1)}),
        "~axis/0 names level 3 of 3",
    ),
    "axis levels along two axes": (
        lambda p: p.update({"~axis/0": Tensor("U8", p["~axis/0"].bits.reshape(2, 3))}),
        r"~axis/0 is U8 \[2, 3\]",
    ),
}


@pytest.mark.parametrize(("change", "match"), UNKNOWN.values(), ids=UNKNOWN.keys())
def test_parts_that_mean_nothing_are_refused(tmp_path: Path, change: Callable[[Parts], object], match: str) -> None:
    path = changed(tmp_path / "net", change)
    with pytest.raises(FileFormatError, match=match):
        read_level(path)


def test_scores_of_another_dtype_are_refused(tmp_path: Path) -> None:
    path = changed(tmp_path / "net", lambda p: p.update({"~score": Tensor("F16", np.ones(2, np.float16))}))
    with pytest.raises(FileFormatError, match=r"~score is F16 \[2\], not F32"):
        read_score(path)


def test_a_changed_weight_of_a_smaller_level_is_noticed(tmp_path: Path) -> None:
    path = changed(tmp_path / "net", lambda p: p["bn.running_mean"].bits.fill(9))
    with pytest.raises(ProofFailed, match="level 'level 0' is not what was saved"):
        verify_level(path, 0)
    verify_level(path)  # which does not read it


def test_a_shape_that_grows_beyond_memory_is_refused(tmp_path: Path) -> None:
    # Nothing along one axis at any level, so that no block has to exist; then the other lengths multiply unchecked.
    def change(parts: Parts) -> None:
        parts["conv.weight"] = Tensor("F32", np.empty((2, 0, 2**56), np.float32))
        parts["~axis/1"] = Tensor("U8", np.empty(0, np.uint8))
        for key in [key for key in parts if key.startswith("~") and "conv.weight" in key]:
            del parts[key]

    path = changed(tmp_path / "net", change)
    read_level(path, 0)
    with pytest.raises(ElasticError, match="more than any memory holds"):
        read_level(path)


def test_a_file_cut_short_says_so(tmp_path: Path) -> None:
    path = changed(tmp_path / "net", lambda p: None)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(FileFormatError, match="fetch the whole file again"):
        read_level(path)


def test_numbers_that_are_not_aligned_are_read(tmp_path: Path) -> None:
    path = changed(tmp_path / "net", lambda p: None)
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    path.write_bytes((length + 1).to_bytes(8, "little") + data[8 : 8 + length] + b" " + data[8 + length :])
    verify_level(path)
    assert all(tensor.bits.flags.aligned for tensor in read_level(path, 0).values())
