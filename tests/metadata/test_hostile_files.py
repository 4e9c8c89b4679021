import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from elastic_files import small_network, write_network

from elastic.errors import ElasticError, FileFormatError, PathError
from elastic.metadata import is_elastic, read_axes, read_header, read_level, read_units, write_plain

HERE = Path(__file__).parent


@pytest.fixture
def path(tmp_path: Path) -> Path:
    units = {"conv.weight": {0: np.array([0, 1, 2, 3, 4, 5], np.int32)}}
    write_network(tmp_path / "net.safetensors", small_network(), units=units, score=np.ones(6, np.float32))
    return tmp_path / "net.safetensors"


def rewrite(path: Path, change: Callable[[dict, dict], None]) -> None:
    """Change the header of the container and the elastic header in it, and leave the data."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    elastic = json.loads(header["__metadata__"]["elastic"])
    change(header, elastic)
    if isinstance(header["__metadata__"], dict):
        header["__metadata__"]["elastic"] = json.dumps(elastic)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + size :])


def replace_text(path: Path, text: str) -> None:
    """Put any text in the place of the elastic header."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header["__metadata__"]["elastic"] = text
    changed = json.dumps(header).encode()
    path.write_bytes(len(changed).to_bytes(8, "little") + changed + data[8 + size :])


def test_five_thousand_damaged_files_are_read_or_refused(path: Path, tmp_path: Path) -> None:
    program = [sys.executable, HERE / "mutate_files.py", path, tmp_path / "damaged.safetensors", "5000", "1"]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    outcome = json.loads(done.stdout)
    assert outcome["read"] + outcome["refused"] == 5000
    assert outcome["refused"] > 2000  # the mutations do reach what is checked
    assert outcome["slowest"] < 2  # seconds


HOSTILE = {
    "newer version": (lambda h, e: e.update(version=3), "newer version"),
    "version of other fields": (lambda h, e: e.update(version=2), "lacks 'own'"),
    "version zero": (lambda h, e: e.update(version=0), "must be 1"),
    "no version": (lambda h, e: e.pop("version"), "version"),
    "version as text": (lambda h, e: e.update(version="1"), "version"),
    "unknown contract": (lambda h, e: e.update(contract="loose"), "exact, nested, joint"),
    "contract of a wrong type": (lambda h, e: e.update(contract=["exact"]), "contract"),
    "no levels": (lambda h, e: e.update(levels=[]), "levels"),
    "too many levels": (
        lambda h, e: e.update(levels=[e["levels"][0] | {"name": str(n)} for n in range(257)]),
        "levels",
    ),
    "two levels of a name": (lambda h, e: e["levels"][1].update(name="level 0"), "twice"),
    "an unprintable level name": (lambda h, e: e["levels"][1].update(name="a\x1b[2Jb"), "text"),
    "an empty level name": (lambda h, e: e["levels"][1].update(name=""), "text"),
    "negative params": (lambda h, e: e["levels"][0].update(params=-1), "params"),
    "params as truth": (lambda h, e: e["levels"][0].update(params=True), "params"),
    "huge macs": (lambda h, e: e["levels"][0].update(macs=10**30), "63 bits"),
    "a short digest": (lambda h, e: e["levels"][0].update(digest="00"), "SHA-256"),
    "metrics as text": (lambda h, e: e["levels"][0].update(metrics={"accuracy": "high"}), "number"),
    "an unknown field": (lambda h, e: e.update(extra=1), "unknown"),
    "an axis that points nowhere": (lambda h, e: e["axes"]["conv.weight"].update({"0": "77"}), "~axis/77"),
    "units that point nowhere": (lambda h, e: e["units"]["conv.weight"].update({"0": "77"}), "~unit/77"),
    "an axis of an unknown tensor": (lambda h, e: e["axes"].update(nothing={"0": "0"}), "nothing"),
    "an axis of an alias": (lambda h, e: e["axes"].update({"tied.weight": {"0": "0"}}), "tied.weight"),
    "a negative axis": (lambda h, e: e["axes"]["conv.bias"].update({"-1": "0"}), "axis"),
    "an axis out of range": (lambda h, e: e["axes"]["conv.bias"].update({"1": "0"}), "axis 1"),
    "a huge axis": (lambda h, e: e["axes"]["conv.bias"].update({"99999999": "0"}), "axis"),
    "an alias of itself": (lambda h, e: e.update(aliases={"tied.weight": "tied.weight"}), "alias"),
    "a cycle of aliases": (
        lambda h, e: e.update(aliases={"tied.weight": "conv.weight", "conv.weight": "tied.weight"}),
        "alias",
    ),
    "a chain of aliases": (
        lambda h, e: e.update(aliases={"tied.weight": "conv.weight", "conv.weight": "conv.bias"}),
        "alias",
    ),
    "an alias of nothing": (lambda h, e: e.update(aliases={"tied.weight": "nothing"}), "alias"),
    "the same name twice": (lambda h, e: e["names"].append("mask"), "twice"),
    "a name that is not stored": (
        lambda h, e: (e["names"].append("ghost"), e["digests"].update(ghost="0" * 64)),
        "ghost",
    ),
    "a stored tensor without a name": (lambda h, e: (e["names"].remove("mask"), e["digests"].pop("mask")), "mask"),
    "a digest too few": (lambda h, e: e["digests"].pop("mask"), "digest"),
    "a digest too many": (lambda h, e: e["digests"].update(ghost="0" * 64), "one digest for each"),
    "model is a list": (lambda h, e: e.update(model=[]), "model"),
    "an unknown dtype": (lambda h, e: h["mask"].update(dtype="F4"), "F4"),
    "a negative length": (lambda h, e: h["mask"].update(shape=[-3]), "shape"),
    "a shape of truths": (lambda h, e: h["mask"].update(shape=[True, 3]), "shape"),
    "a huge shape": (lambda h, e: h["conv.bias"].update(shape=[2**62]), "conv.bias"),
    "a huge shape of nothing": (lambda h, e: h["ü"].update(shape=[0, 2**59, 2**59]), "shape"),
    "a thousand axes": (lambda h, e: h["mask"].update(shape=[3] + [1] * 1000), "shape"),
    "offsets that overlap": (
        lambda h, e: h["mask"].update(
            data_offsets=[h["mask"]["data_offsets"][0] - 1, h["mask"]["data_offsets"][1] - 1]
        ),
        "byte|bytes",
    ),
    "two tensors in the same bytes": (
        lambda h, e: h["conv.bias"].update(data_offsets=[16, 16 + 2 * h["conv.bias"]["shape"][0]]),
        "begins at byte",
    ),
    "offsets past the end": (lambda h, e: h["mask"].update(data_offsets=[10**9, 10**9 + 3]), "byte"),
    "metadata of a wrong type": (lambda h, e: h.update(__metadata__=["elastic"]), "__metadata__"),
}


def read_everything(path: Path) -> None:
    for level in range(3):
        read_level(path, level)
    read_axes(path), read_units(path)


@pytest.mark.parametrize(("change", "match"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_header_is_refused(path: Path, change: Callable[[dict, dict], None], match: str) -> None:
    rewrite(path, change)
    with pytest.raises(ElasticError, match=match) as refusal:
        read_everything(path)
    assert "net.safetensors" in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "JSON"),
        ("null", "object"),
        ("[" * 100_000, "JSON|deep"),
        ('{"version":' + "9" * 5000 + "}", "JSON|bits"),
        ('{"version":NaN}', "NaN"),
        ('{"version":1,"version":1}', "twice"),
    ],
    ids=["empty", "null", "deep", "huge number", "nan", "doubled key"],
)
def test_a_hostile_text_is_refused(path: Path, text: str, match: str) -> None:
    replace_text(path, text)
    with pytest.raises(FileFormatError, match=match):
        read_header(path)


@pytest.mark.parametrize(
    ("plan", "match"),
    [
        ('{"a":1e999}', "inf"),
        ('{"a":NaN}', "NaN"),
        ('{"a":"\\ud800"}', "Unicode"),
        ('{"\\ud800":1}', "Unicode"),
        ('{"a":123456789012345678901234567890}', "63 bits"),
        ('{"a":' * 200 + "0" + "}" * 200, "deep"),
    ],
    ids=["infinite", "nan", "surrogate", "surrogate key", "huge number", "nested"],
)
def test_a_plan_that_could_not_be_written_again_is_refused(path: Path, plan: str, match: str) -> None:
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    elastic = json.loads(json.loads(data[8 : 8 + size])["__metadata__"]["elastic"])
    replace_text(path, json.dumps(elastic | {"plan": "PLAN"}).replace('"PLAN"', plan))
    with pytest.raises(FileFormatError, match=match):
        read_header(path)


def test_axis_levels_beyond_those_of_the_file_are_refused(path: Path) -> None:
    rewrite(path, lambda h, e: e.update(levels=e["levels"][:2]))
    with pytest.raises(FileFormatError, match=r"net\.safetensors"):
        read_level(path, 1)


def test_a_plain_safetensors_file_is_called_one(tmp_path: Path) -> None:
    write_plain(tmp_path / "plain.safetensors", small_network().tensors)
    with pytest.raises(FileFormatError, match="plain safetensors file, not an elastic one"):
        read_header(tmp_path / "plain.safetensors")


@pytest.mark.parametrize("content", [b"", b"\x80\x04", b"PK\x03\x04" + b"\0" * 100, b"\xff" * 64], ids=repr)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "net.safetensors").write_bytes(content)
    with pytest.raises(FileFormatError, match="not a safetensors file"):
        read_header(tmp_path / "net.safetensors")


@pytest.mark.parametrize("name", ["missing.safetensors", ".", "no\0name"], ids=["missing", "folder", "null byte"])
def test_a_path_that_is_no_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(PathError, match=r"missing|not a file|read"):
        read_header(tmp_path / name)


def test_only_an_elastic_file_is_called_elastic(path: Path, tmp_path: Path) -> None:
    write_plain(tmp_path / "plain.safetensors", small_network().tensors)
    (tmp_path / "other.pt").write_bytes(b"PK\x03\x04" + b"\0" * 100)
    assert [is_elastic(tmp_path / name) for name in (path.name, "plain.safetensors", "other.pt")] == [
        True,
        False,
        False,
    ]
    with pytest.raises(PathError, match="missing"):
        is_elastic(tmp_path / "missing")


@pytest.mark.parametrize(
    ("header", "match"),
    [
        ("[]", "no JSON object"),
        ('{"a":3}', "'a' lacks a dtype"),
        ('{"a":{"dtype":"U8","shape":[1]}}', "'a' lacks a dtype, a shape or two offsets"),
        ('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0]}}', "'a' lacks a dtype, a shape or two offsets"),
        ('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,2]}}', "does not lie in the 1 bytes"),
        ('{"a":{"dtype":"U8","shape":[1],"data_offsets":[-1,0]}}', "no valid shape or offsets"),
        ('{"a":{"dtype":["U8"],"shape":[1],"data_offsets":[0,1]}}', "has dtype"),
        ('{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}', "begins at byte"),
        ('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', "fetch the whole file again"),
        ('{"__metadata__":{"elastic":1}}', "must map texts to texts"),
        ('{"a":1,"a":1}', "the same key twice"),
    ],
    ids=["list", "number", "no offsets", "one", "two bytes", "negative", "dtype", "gap", "rest", "metadata", "doubled"],
)
def test_a_damaged_container_is_refused(tmp_path: Path, header: str, match: str) -> None:
    (tmp_path / "net").write_bytes(len(header).to_bytes(8, "little") + header.encode() + b"\0\0")
    with pytest.raises(FileFormatError, match=match):
        read_header(tmp_path / "net")


def test_a_file_that_may_not_be_read_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(PathError, match="Permission denied; check its permissions"):
        read_header(path)


def test_a_header_that_is_too_long_is_not_even_parsed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("elastic.metadata.schema.TEXT_CAP", 1000)
    with pytest.raises(FileFormatError, match="at most 1000 are read"):
        read_header(path)
