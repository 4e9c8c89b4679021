from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from elastic_files import Network, networks, random_tensor, same_bits
from hypothesis import HealthCheck, given, settings
from safetensors import safe_open
from safetensors.numpy import save_file

from elastic.errors import OutputExists
from elastic.metadata import Tensor, plain_bytes, write_plain

repeated = settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@repeated
@given(network=networks())
def test_plain_bytes_is_the_size_of_the_file(tmp_path: Path, network: Network) -> None:
    path = tmp_path / "plain.safetensors"
    write_plain(path, network.tensors, overwrite=True)
    assert plain_bytes({n: (t.dtype, t.shape) for n, t in network.tensors.items()}) == path.stat().st_size


@repeated
@given(network=networks())
def test_a_plain_file_is_the_one_that_safetensors_writes(tmp_path: Path, network: Network) -> None:
    names = {"BF16": ml_dtypes.bfloat16, "F8_E4M3": ml_dtypes.float8_e4m3fn, "F8_E5M2": ml_dtypes.float8_e5m2}
    tensors = {name: tensor for name, tensor in network.tensors.items() if not tensor.dtype.startswith("F8_E8")}
    tensors = {name: tensor for name, tensor in tensors.items() if not tensor.dtype.endswith("FNUZ")}
    arrays = {name: t.bits.view(names[t.dtype]) if t.dtype in names else t.bits for name, t in tensors.items()}
    write_plain(tmp_path / "ours.safetensors", tensors, overwrite=True)
    save_file(arrays, tmp_path / "theirs.safetensors", metadata={"format": "pt"})
    assert (tmp_path / "ours.safetensors").read_bytes() == (tmp_path / "theirs.safetensors").read_bytes()


@pytest.mark.parametrize("name", ["plain", "ü/层", 'a "quoted" \\ name', "tab\there"], ids=ascii)
def test_names_take_as_many_bytes_as_in_the_file(tmp_path: Path, name: str) -> None:
    write_plain(tmp_path / "plain.safetensors", {name: Tensor("F32", np.zeros((2, 3), np.float32))})
    assert plain_bytes({name: ("F32", (2, 3))}) == (tmp_path / "plain.safetensors").stat().st_size
    with safe_open(tmp_path / "plain.safetensors", framework="numpy") as file:
        assert list(file.keys()) == [name]


def test_an_empty_state_dict_has_a_size(tmp_path: Path) -> None:
    write_plain(tmp_path / "plain.safetensors", {})
    assert plain_bytes({}) == (tmp_path / "plain.safetensors").stat().st_size


def test_a_plain_file_is_not_overwritten_unasked(tmp_path: Path) -> None:
    tensors = {"a": random_tensor(np.random.default_rng(0), "F32", (2,))}
    write_plain(tmp_path / "plain.safetensors", tensors)
    with pytest.raises(OutputExists, match="exists; choose another name"):
        write_plain(tmp_path / "plain.safetensors", tensors)
    write_plain(tmp_path / "plain.safetensors", tensors, overwrite=True)
    with safe_open(tmp_path / "plain.safetensors", framework="numpy") as file:
        assert same_bits(Tensor("F32", file.get_tensor("a")), tensors["a"])
