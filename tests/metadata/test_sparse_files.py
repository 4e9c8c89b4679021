"""Sparse files: the same bits back, fewer of them on disk, and a clear refusal of what is damaged."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from elastic.errors import FileFormatError, OutputExists, PathError
from elastic.metadata import DTYPES, Tensor
from elastic.metadata.container import open_container
from elastic.metadata.sparse import KEY, is_sparse, read_sparse, write_sparse
from elastic.metadata.writer import write_plain

SPECIAL = {
    "F32": np.array([0x80000000, 0x7FC00001, 0xFF800000, 1, 0], "<u4").view("<f4"),  # -0, NaN, -inf, subnormal, 0
    "F16": np.array([0x8000, 0x7E01, 1, 0], "<u2").view("<f2"),
    "BF16": np.array([0x8000, 0x7FC1, 1, 0], "<u2"),
    "F64": np.array([1 << 63, 1, 0], "<u8").view("<f8"),
    "C64": np.array([0, 1 << 63, 1 << 31], "<u8").view("<c8"),
}


@st.composite
def tensors(draw):
    """Return a tensor of any dtype, most of it zero, with bit patterns that are easily lost."""
    dtype = draw(st.sampled_from(list(DTYPES)))
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=40))
    size = int(np.prod(shape))
    raw = np.random.default_rng(draw(st.integers(0, 99))).integers(0, 256, size * DTYPES[dtype].itemsize, np.uint8)
    bits = (raw & 1 if dtype == "BOOL" else raw).view(DTYPES[dtype]).copy()
    bits[np.random.default_rng(1).random(size) < draw(st.sampled_from([0.0, 0.5, 0.97, 1.0]))] = 0
    if dtype in SPECIAL and size >= 5:
        bits[: len(SPECIAL[dtype])] = SPECIAL[dtype]
    return Tensor(dtype, bits.reshape(shape))


@given(state=st.dictionaries(st.text("abc.", min_size=1, max_size=5), tensors(), max_size=4))
def test_what_is_read_is_what_was_written_bit_for_bit(tmp_path_factory, state):
    path = tmp_path_factory.mktemp("sparse") / "net.safetensors"
    write_sparse(path, state)
    found = read_sparse(path)
    assert list(found) == list(state)
    for name, tensor in state.items():
        assert (found[name].dtype, found[name].shape) == (tensor.dtype, tensor.shape)
        assert found[name].bits.tobytes() == tensor.bits.tobytes()


def weight(zeros=0.9, shape=(64, 100)):
    values = np.random.default_rng(0).normal(size=shape).astype("<f4")
    values[np.random.default_rng(1).random(shape) < zeros] = 0
    return Tensor("F32", values)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.safetensors"


def test_a_zero_takes_a_bit(path):
    tensor = weight()
    write_sparse(path, {"weight": tensor})
    left = int((tensor.bits != 0).sum())
    parts = {name: entry.end - entry.begin for name, entry in open_container(path).entries.items()}
    assert parts == {"~bits/weight": 800, "~values/weight": 4 * left}
    assert path.stat().st_size < 0.2 * tensor.bits.nbytes


@pytest.mark.parametrize(("zeros", "shape"), [(0.0, (64, 100)), (0.9, (5, 5))], ids=["no zeros", "few elements"])
def test_what_would_not_be_smaller_is_stored_as_it_is(path, zeros, shape):
    write_sparse(path, {"weight": weight(zeros, shape)})
    assert list(open_container(path).entries) == ["weight"]


def test_a_negative_zero_is_a_value(path):
    values = np.zeros(1000, "<f4")
    values[7] = -0.0
    write_sparse(path, {"weight": Tensor("F32", values)})
    assert open_container(path).entries["~values/weight"].shape == (1,)
    assert np.flatnonzero(np.signbit(read_sparse(path)["weight"].bits)).tolist() == [7]


def test_the_same_tensors_give_the_same_file(tmp_path):
    for name in ("one", "other"):
        write_sparse(tmp_path / name, {"b": weight(), "a": weight(0)})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_a_file_in_the_way_is_left_alone_unless_asked(path):
    path.write_bytes(b"mine")
    with pytest.raises(OutputExists, match=r"net\.safetensors exists"):
        write_sparse(path, {"weight": weight()})
    assert path.read_bytes() == b"mine"
    write_sparse(path, {"weight": weight()}, overwrite=True)
    assert is_sparse(path)


def test_a_name_of_the_format_is_refused(path):
    with pytest.raises(FileFormatError, match="can't be called '~bits/a'"):
        write_sparse(path, {"~bits/a": weight()})
    assert not path.exists()


def test_other_files_are_refused(path):
    with pytest.raises(PathError, match="missing"):
        read_sparse(path)
    write_plain(path, {"weight": weight()})
    assert not is_sparse(path)
    with pytest.raises(FileFormatError, match="is no sparse file"):
        read_sparse(path)


def rewritten(path, change):
    """Change what a file holds: its tensors by key, and its header."""
    container = open_container(path)
    parts = {key: Tensor(entry.dtype, container.bits(key).copy()) for key, entry in container.entries.items()}
    header = json.loads(container.metadata[KEY])
    change(parts, header)
    write_plain(path, parts, {KEY: json.dumps(header)}, overwrite=True)


def more_bits(parts, header):
    parts["~bits/weight"].bits[:] |= 1


def bits_behind(parts, header):
    header["shapes"]["weight"] = [6399]
    parts["~bits/weight"].bits[-1] |= 128


def fewer_values(parts, header):
    parts["~values/weight"] = Tensor("F32", parts["~values/weight"].bits[:-1])


def another_value(parts, header):
    parts["~values/weight"].bits[0] += 1


DAMAGE = {
    "bits": (more_bits, "bits set and .* values; it is damaged"),
    "bits behind the end": (bits_behind, "bits set and .* values; it is damaged"),
    "values": (fewer_values, "bits set and .* values; it is damaged"),
    "a value": (another_value, "its tensors are not what was saved"),
    "shape": (lambda p, h: h["shapes"].update(weight=[3]), r"of shape \[3\] has bits U8 \[800\]; damaged"),
    "endless shape": (lambda p, h: h["shapes"].update(weight=[1 << 40, 1 << 40]), "is more than any memory holds"),
    "negative shape": (lambda p, h: h["shapes"].update(weight=[-1]), "must be a whole number"),
    "no values": (lambda p, h: p.pop("~values/weight"), "disagree about '~values/weight'"),
    "one tensor more": (lambda p, h: p.update(other=weight(0)), "disagree about 'other'"),
    "one name more": (lambda p, h: h["names"].append("other"), "disagree about 'other'"),
    "one shape more": (lambda p, h: h["shapes"].update(other=[3]), "disagree about 'other'"),
    "version": (lambda p, h: h.update(version=2), "of version 2 of sparse files, known is 1"),
    "unknown key": (lambda p, h: h.update(extra=1), "has the unknown key 'extra'"),
    "digest": (lambda p, h: h.update(digest="0" * 64), "its tensors are not what was saved"),
    "no digest": (lambda p, h: h.pop("digest"), "lacks 'digest'"),
}


@pytest.mark.parametrize(("change", "told"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_file_is_refused(path, change, told):
    write_sparse(path, {"weight": weight(), "bias": weight(0, (4,))})
    read_sparse(path)
    rewritten(path, change)
    with pytest.raises(FileFormatError, match=told):
        read_sparse(path)


def test_a_file_cut_short_is_refused(path):
    write_sparse(path, {"weight": weight()})
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(FileFormatError, match="fetch the whole file again"):
        read_sparse(path)
