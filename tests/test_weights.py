import os

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from elastic.errors import CheckpointMismatch, FileFormatError, InvalidWeights, PathError
from elastic.weights import load_weights, read_weights


class Harmful:
    """What an attacker would put into a pickle."""

    def __reduce__(self):
        return os.mkdir, ("harmed",)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(5, 3)
        self.head = nn.Linear(3, 5, bias=False)
        self.head.weight = self.embed.weight


def network():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))


STATE = network().state_dict()


def is_same(found, expected=STATE):
    return found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in expected)


def test_safetensors_files_are_read(tmp_path):
    save_file(STATE, tmp_path / "net.safetensors")
    assert is_same(read_weights(tmp_path / "net.safetensors"))


@pytest.mark.parametrize("suffix", ["pt", "pth", "th", "bin"])
@pytest.mark.parametrize("is_zipped", [True, False], ids=["zip", "legacy"])
def test_files_of_torch_save_are_read(tmp_path, suffix, is_zipped):
    torch.save(STATE, tmp_path / f"net.{suffix}", _use_new_zipfile_serialization=is_zipped)
    assert is_same(read_weights(tmp_path / f"net.{suffix}"))


@pytest.mark.parametrize("wrapper", ["state_dict", "model", "model_state_dict"])
def test_a_nested_state_dict_is_found(tmp_path, wrapper):
    torch.save({"epoch": 3, wrapper: STATE, "optimizer": {"lr": 0.1}}, tmp_path / "net.pt")
    assert is_same(read_weights(tmp_path / "net.pt"))


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_prefixes_of_wrapping_modules_are_dropped(tmp_path, prefix):
    torch.save({prefix + name: tensor for name, tensor in STATE.items()}, tmp_path / "net.pt")
    assert is_same(read_weights(tmp_path / "net.pt"))


def test_a_prefix_that_not_all_names_have_stays(tmp_path):
    torch.save({"module.a": torch.zeros(1), "b": torch.zeros(1)}, tmp_path / "net.pt")
    assert read_weights(tmp_path / "net.pt").keys() == {"module.a", "b"}


def test_parameters_are_read_as_plain_tensors(tmp_path):
    torch.save(dict(network().named_parameters()), tmp_path / "net.pt")
    assert not any(tensor.requires_grad for tensor in read_weights(tmp_path / "net.pt").values())


@pytest.mark.parametrize("content", [Harmful(), {"state_dict": STATE, "x": Harmful()}], ids=["bare", "beside"])
def test_pickled_code_is_refused_and_not_run(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    torch.save(content, "net.pt")
    with pytest.raises(FileFormatError, match=r"weights_only refuses it\): .*mkdir.*; save its state_dict\(\) alone"):
        read_weights("net.pt")
    assert not (tmp_path / "harmed").exists()


def test_a_whole_pickled_model_is_refused(tmp_path):
    torch.save(network(), tmp_path / "net.pt")
    with pytest.raises(FileFormatError, match=r"Sequential.*; save its state_dict\(\) alone"):
        read_weights(tmp_path / "net.pt")


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
@pytest.mark.parametrize(
    "content", [b"", b"no weights at all", b"PK\x03\x04 and no more"], ids=["empty", "text", "zip"]
)
def test_a_damaged_file_is_refused(tmp_path, suffix, content):
    (tmp_path / f"net.{suffix}").write_bytes(content)
    with pytest.raises(FileFormatError, match=f"net.{suffix} is damaged, or"):
        read_weights(tmp_path / f"net.{suffix}")


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
def test_a_file_that_is_cut_off_is_refused(tmp_path, suffix):
    path = tmp_path / f"net.{suffix}"
    save_file(STATE, path) if suffix == "safetensors" else torch.save(STATE, path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(FileFormatError, match=f"net.{suffix} is damaged, or"):
        read_weights(path)


@pytest.mark.parametrize(
    ("content", "claim"),
    [
        ([1, 2], "holds a list, not tensors by name"),
        ({}, "holds an empty dict, not tensors by name"),
        ({"epoch": 3}, "'epoch' is a int, not a tensor; a state dict is looked for at the top and under state_dict"),
        (torch.zeros(3), "holds a Tensor, not tensors by name"),
    ],
    ids=["list", "empty", "number", "tensor"],
)
def test_a_file_without_a_state_dict_is_refused(tmp_path, content, claim):
    torch.save(content, tmp_path / "net.pt")
    with pytest.raises(FileFormatError, match=claim):
        read_weights(tmp_path / "net.pt")


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(PathError, match=r"there is no file nowhere.pt"):
        read_weights("nowhere.pt")


def test_another_kind_of_file_is_refused():
    with pytest.raises(FileFormatError, match=r"read from .safetensors, .pt, .pth, .th, .bin files, not from '.onnx'"):
        read_weights("net.onnx")


def test_loading_gives_the_model_the_tensors():
    model = network()
    load_weights(model, STATE)
    assert is_same(model.state_dict())


def test_the_batch_counter_may_be_missing():
    model = network()
    load_weights(model, {name: tensor for name, tensor in STATE.items() if "num_batches" not in name})
    assert is_same(model.state_dict())


@pytest.mark.parametrize("kept", ["embed.weight", "head.weight"])
def test_one_name_of_a_tied_tensor_is_enough(kept):
    model = Tied()
    load_weights(model, {kept: torch.ones(5, 3)})
    assert model.head.weight is model.embed.weight
    assert torch.equal(model.embed.weight, torch.ones(5, 3))


@pytest.mark.parametrize(
    ("change", "claim"),
    [
        ({"0.weight": None}, "1 missing from the checkpoint: 0.weight$"),
        ({"9.weight": torch.zeros(1)}, "1 unknown to the model: 9.weight$"),
        ({"2.bias": torch.zeros(3)}, r"1 of another shape or kind: 2.bias has shape \[3\], the model wants \[2\]$"),
        ({"2.bias": torch.zeros(2, dtype=torch.int8)}, "2.bias holds torch.int8, the model wants torch.float32$"),
        (
            dict.fromkeys(["0.weight", "0.bias", "1.weight", "1.bias"]),
            "4 missing from the checkpoint: 0.weight, 0.bias, 1.weight and 1 more$",
        ),
        ({"0.weight": None, "9.weight": torch.zeros(1)}, "missing from the checkpoint: 0.weight; 1 unknown"),
    ],
    ids=["missing", "unexpected", "shape", "integers", "many", "both"],
)
def test_a_state_dict_of_another_model_is_refused_by_name(change, claim):
    state = {name: tensor for name, tensor in (STATE | change).items() if tensor is not None}
    with pytest.raises(CheckpointMismatch, match=claim):
        load_weights(network(), state)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")], ids=str)
def test_weights_that_are_no_numbers_are_refused_and_the_model_stays(value):
    model = network()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    broken = STATE["2.weight"].clone()
    broken[0, 1] = value
    with pytest.raises(InvalidWeights, match=r"2.weight holds 1 values of 8 that are NaN or infinite"):
        load_weights(model, STATE | {"2.weight": broken})
    assert is_same(model.state_dict(), before)
