"""Exports: every format is the network, for any batch; what fails or differs leaves nothing behind."""

import copy
from collections import OrderedDict
from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from elastic import exporting, models
from elastic.errors import ExportError, OutputExists, PathError, UnknownName
from elastic.exporting import FORMATS, SUFFIXES, export
from elastic.proofs import same_bits
from elastic.sparse_storage import load_sparse

EXAMPLE = torch.zeros(1, 1, 8, 8)


@pytest.fixture(scope="module")
def trained():
    torch.manual_seed(0)
    model = models.build("elastic/digits_resnet")
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return model.eval()


@pytest.fixture
def model():
    """A network that takes little time to export."""
    torch.manual_seed(0)
    layers = {"conv1": nn.Conv2d(1, 8, 3), "bn1": nn.BatchNorm2d(8), "relu": nn.ReLU(), "flat": nn.Flatten()}
    return nn.Sequential(OrderedDict(**layers, fc=nn.Linear(36 * 8, 10))).eval()


def onnx_outputs(path, images):
    return torch.from_numpy(onnxruntime.InferenceSession(path).run(None, {"input": images.numpy()})[0])


def program_outputs(path, images):
    return torch.export.load(path).module()(images)


@pytest.fixture(scope="module", params=FORMATS)
def exported(request, trained, tmp_path_factory):
    """What was written in each format."""
    path = tmp_path_factory.mktemp("exported") / f"net{SUFFIXES[request.param]}"
    return export(trained, EXAMPLE, path, request.param)


@pytest.mark.parametrize("batch", [1, 2, 5])
@pytest.mark.parametrize("exported", ["onnx", "torch-export"], indirect=True)
def test_a_program_agrees_with_torch_in_any_batch(trained, exported, batch):
    run = {"onnx": onnx_outputs, "torch-export": program_outputs}[exported.format]
    images = torch.randn(batch, 1, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(run(exported.path, images), trained(images), rtol=1e-4, atol=1e-4)


def test_an_export_is_described_as_it_is(exported):
    assert exported.bytes == exported.path.stat().st_size
    assert exported.path.suffix == SUFFIXES[exported.format]
    assert exported.error <= 1e-4


def test_a_state_dict_agrees_bit_for_bit(trained, tmp_path):
    done = export(trained, EXAMPLE, tmp_path / "net.safetensors", "state-dict")
    found = load_file(tmp_path / "net.safetensors")
    assert done.error == 0
    assert found.keys() == trained.state_dict().keys()
    assert all(same_bits(found[name], tensor) for name, tensor in trained.state_dict().items())


def test_a_sparse_file_agrees_bit_for_bit_and_is_smaller(trained, tmp_path):
    model = copy.deepcopy(trained)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Conv2d):
                module.weight[module.weight.abs() < module.weight.abs().quantile(0.9)] = 0
    sizes = {}
    for format in ("state-dict", "sparse"):
        sizes[format] = export(model, EXAMPLE, tmp_path / f"{format}.safetensors", format).bytes
    found = load_sparse(tmp_path / "sparse.safetensors")
    assert all(same_bits(found[name], tensor) for name, tensor in model.state_dict().items())
    assert sizes["sparse"] < 0.25 * sizes["state-dict"]


@pytest.mark.parametrize("exported", ["onnx"], indirect=True)
def test_onnx_is_one_file_with_named_ends(exported):
    found = onnx.load(exported.path)
    onnx.checker.check_model(found)
    assert ([i.name for i in found.graph.input], [o.name for o in found.graph.output]) == (["input"], ["logits"])
    assert [path.name for path in exported.path.parent.iterdir()] == ["net.onnx"]


def test_an_export_tells_nothing_of_the_machine(exported):
    data = exported.path.read_bytes()
    assert str(Path(torch.__file__).parents[1]).encode() not in data
    assert str(Path(__file__).parents[1]).encode() not in data


@pytest.mark.parametrize("exported", ["onnx"], indirect=True)
def test_the_same_network_gives_the_same_onnx(trained, exported, tmp_path):
    export(trained, EXAMPLE, tmp_path / "net.onnx", "onnx")
    assert exported.path.read_bytes() == (tmp_path / "net.onnx").read_bytes()


@pytest.mark.parametrize("format", FORMATS)
def test_the_model_comes_back_as_it_was(model, tmp_path, format):
    model.train()
    model.bn1.eval()
    modes = [module.training for module in model.modules()]
    before = copy.deepcopy(model.state_dict())
    export(model, EXAMPLE, tmp_path / f"net{SUFFIXES[format]}", format)
    assert [module.training for module in model.modules()] == modes
    assert all(same_bits(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("format", ["onnx", "torch-export"])
def test_a_network_of_another_precision_is_exported_in_float32(model, tmp_path, format):
    path = tmp_path / f"net{SUFFIXES[format]}"
    model.to(torch.bfloat16)
    export(model, EXAMPLE, path, format)
    images = torch.randn(2, 1, 8, 8)
    run = onnx_outputs if format == "onnx" else program_outputs
    with torch.no_grad():
        torch.testing.assert_close(run(path, images), copy.deepcopy(model).float()(images), rtol=1e-4, atol=1e-4)
    assert model.conv1.weight.dtype == torch.bfloat16


def test_a_state_dict_keeps_its_precision(model, tmp_path):
    export(model.to(torch.float16), EXAMPLE, tmp_path / "net.safetensors", "state-dict")
    assert load_file(tmp_path / "net.safetensors")["conv1.weight"].dtype == torch.float16


@pytest.mark.parametrize("format", FORMATS)
def test_an_existing_file_is_left_alone(model, tmp_path, format):
    path = tmp_path / f"net{SUFFIXES[format]}"
    path.write_bytes(b"mine")
    with pytest.raises(OutputExists, match="exists; choose another name"):
        export(model, EXAMPLE, path, format)
    assert path.read_bytes() == b"mine"


@pytest.mark.parametrize("format", FORMATS)
def test_an_existing_file_is_replaced_on_request(model, tmp_path, format):
    path = tmp_path / f"net{SUFFIXES[format]}"
    path.write_bytes(b"mine")
    export(model, EXAMPLE, path, format, overwrite=True)
    assert path.stat().st_size > 1000


def test_a_new_file_has_the_permissions_of_any_new_file(model, tmp_path):
    export(model, EXAMPLE, tmp_path / "net.pt2", "torch-export")
    (tmp_path / "other").touch()
    assert (tmp_path / "net.pt2").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_link_stays_a_link(model, tmp_path):
    (tmp_path / "real.pt2").write_bytes(b"old")
    (tmp_path / "link.pt2").symlink_to("real.pt2")
    export(model, EXAMPLE, tmp_path / "link.pt2", "torch-export", overwrite=True)
    assert (tmp_path / "link.pt2").is_symlink()
    assert (tmp_path / "real.pt2").stat().st_size > 1000


@pytest.mark.parametrize("format", FORMATS)
def test_a_wrong_export_is_refused_and_leaves_what_was_there(model, tmp_path, monkeypatch, format):
    path = tmp_path / f"net{SUFFIXES[format]}"
    path.write_bytes(b"mine")
    writer = {
        "state-dict": "_write_state",
        "sparse": "_write_sparse",
        "onnx": "write_onnx",
        "torch-export": "_write_program",
    }[format]
    write = getattr(exporting, writer)
    other = copy.deepcopy(model)
    other.fc.bias.data[0] += 0.1
    monkeypatch.setattr(exporting, writer, lambda _, example, temporary: write(other, example, temporary))
    with pytest.raises(ExportError, match=r"differs from (torch by|the original)"):
        export(model, EXAMPLE, path, format, overwrite=True)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == b"mine"


class Branching(nn.Module):
    def forward(self, x):
        return x.flatten(1)[:, :2] if float(x.sum()) > 0 else x.flatten(1)[:, 2:4]


@pytest.mark.parametrize("format", ["onnx", "torch-export"])
def test_an_exporter_that_fails_leaves_nothing(tmp_path, format):
    with pytest.raises(ExportError, match=f"{format} of Branching failed: "):
        export(Branching(), EXAMPLE, tmp_path / f"net{SUFFIXES[format]}", format)
    assert list(tmp_path.iterdir()) == []


class Random(nn.Module):
    def forward(self, x):
        return torch.rand_like(x).flatten(1)


def test_a_network_that_is_random_is_not_said_to_agree(tmp_path):
    with pytest.raises(ExportError, match="differs from torch by"):
        export(Random(), EXAMPLE, tmp_path / "net.pt2", "torch-export")


def test_outputs_that_are_no_numbers_are_not_said_to_agree(model, tmp_path):
    model.fc.bias.data[0] = torch.nan
    with pytest.raises(ExportError, match="differs from torch by nan"):
        export(model, EXAMPLE, tmp_path / "net.pt2", "torch-export")


def test_an_unknown_format_is_refused(model, tmp_path):
    with pytest.raises(UnknownName, match=r"unknown format 'tflite'; known: state-dict, onnx, torch-export"):
        export(model, EXAMPLE, tmp_path / "net.tflite", "tflite")


@pytest.mark.parametrize(("format", "name"), [("onnx", "net"), ("onnx", "net.pt2"), ("state-dict", "net.pt")])
def test_a_name_that_would_mislead_other_programs_is_refused(model, tmp_path, format, name):
    with pytest.raises(PathError, match=f"give it a name that ends with {SUFFIXES[format]}"):
        export(model, EXAMPLE, tmp_path / name, format)


def test_a_missing_folder_is_named(model, tmp_path):
    with pytest.raises(PathError, match=r"there is no folder .*nowhere"):
        export(model, EXAMPLE, tmp_path / "nowhere" / "net.onnx", "onnx")
