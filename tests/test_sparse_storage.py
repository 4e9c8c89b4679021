"""Sparse storage of torch's tensors."""

import pytest
import torch

import elastic
from elastic import models
from elastic.errors import FileFormatError
from elastic.gates.weights import magnitude_pruned
from elastic.proofs import same_bits
from elastic.weights import load_weights, read_weights

DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int8, torch.bool]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_any_dtype_comes_back(tmp_path, dtype):
    tensor = (torch.randn(50, 40) * (torch.rand(50, 40) < 0.05) * 9).to(dtype)
    state = {"weight": tensor, "turned": tensor.t(), "count": torch.tensor(3)}
    elastic.save_sparse(tmp_path / "net.safetensors", state)
    found = elastic.load_sparse(tmp_path / "net.safetensors")
    assert list(found) == list(state)
    assert all(same_bits(found[name], each) for name, each in state.items())


def test_what_is_read_can_be_written_to_and_loaded_into_a_network(tmp_path):
    network, _ = magnitude_pruned(models.build("elastic/self_pruning"), sparsity=0.95)
    path = tmp_path / "net.safetensors"
    elastic.save_sparse(path, network.state_dict())
    state = elastic.load_sparse(path)
    state["classifier.0.weight"][0, 0] = 1
    again = models.build("elastic/self_pruning")
    again.load_state_dict(state)
    assert torch.equal(again.features[4].weight, network.features[4].weight)
    whole = sum(tensor.nbytes for tensor in network.state_dict().values())
    assert path.stat().st_size < whole * (1 / 32 + 0.05 + 0.01)


def test_a_sparse_file_is_weights_as_any_other(tmp_path):
    network, _ = magnitude_pruned(models.build("elastic/digits_resnet"), sparsity=0.9)
    elastic.save_sparse(tmp_path / "net.safetensors", network.state_dict())
    again = models.build("elastic/digits_resnet")
    load_weights(again, read_weights(tmp_path / "net.safetensors"))
    assert all(same_bits(tensor, network.state_dict()[name]) for name, tensor in again.state_dict().items())


def test_a_damaged_sparse_file_is_not_taken_for_weights(tmp_path):
    path = tmp_path / "net.safetensors"
    elastic.save_sparse(path, {"weight": torch.eye(64)})
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(FileFormatError, match=r"weight has .* it is damaged"):
        read_weights(path)
