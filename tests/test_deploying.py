"""Deploying: each network is a file that is what it says, and what is timed is what was written."""

import onnxruntime
import pytest
import torch
from torch import nn

from elastic.deploying import deploy
from elastic.errors import ExportError, OutputExists, PathError, UnknownName

EXAMPLE = torch.zeros(2, 1, 8, 8)


def network(width):
    torch.manual_seed(width)
    return nn.Sequential(nn.Conv2d(1, width, 3), nn.ReLU(), nn.Flatten(), nn.Linear(36 * width, 4)).eval()


@pytest.fixture(scope="module")
def networks():
    return {"macs=50%": network(3), "full": network(6)}


@pytest.fixture(scope="module")
def deployed(networks, tmp_path_factory):
    folder = tmp_path_factory.mktemp("deployed") / "levels" / "here"
    told = []
    found = deploy(
        networks, EXAMPLE, folder, formats=("onnx", "torch-export", "state-dict"), threads=1, runs=2,
        progress=lambda done, count: told.append((done, count)),
    )  # fmt: skip
    return found, folder, told


def test_each_network_is_a_file_of_each_format(deployed):
    found, folder, told = deployed
    names = {f"{name}.{suffix}" for name in ("macs=50%", "full") for suffix in ("onnx", "pt2", "safetensors")}
    assert {path.name for path in folder.iterdir()} == names
    assert {each.file.path.name for each in found} == names
    assert told == [(number, 6) for number in range(1, 7)]


def test_sizes_are_those_of_the_files(deployed):
    assert all(each.file.bytes == each.file.path.stat().st_size for each in deployed[0])


def test_a_file_holds_the_network_of_its_name(deployed, networks):
    images = torch.randn(3, 1, 8, 8)
    for each in deployed[0]:
        if each.file.format == "onnx":
            (found,) = onnxruntime.InferenceSession(each.file.path).run(None, {"input": images.numpy()})
            torch.testing.assert_close(torch.from_numpy(found), networks[each.network](images), rtol=1e-4, atol=1e-5)


def test_what_can_run_is_timed_by_each_runtime_that_is_there(deployed):
    for each in deployed[0]:
        runtimes = {"onnx": {"onnxruntime"}, "torch-export": {"torch-export"}, "state-dict": set()}[each.file.format]
        assert set(each.latencies) - {"openvino"} == runtimes
        assert all(latency.median > 0 and latency.runs == 2 for latency in each.latencies.values())


def test_what_is_run_is_what_was_written(networks, tmp_path, monkeypatch):
    read = []

    def runs(graph, example, threads):
        read.append((graph, example.shape, threads))
        return lambda: None

    monkeypatch.setitem(deploy.__globals__, "GRAPHS", {"onnxruntime": runs})
    monkeypatch.setitem(deploy.__globals__, "RUN_BY", {"onnx": ("onnxruntime",)})
    deploy(networks, EXAMPLE, tmp_path, threads=1, runs=2)
    assert read == [((tmp_path / f"{name}.onnx").read_bytes(), EXAMPLE.shape, 1) for name in networks]


def test_nothing_is_written_if_one_file_is_there(networks, tmp_path):
    (tmp_path / "full.safetensors").write_text("mine")
    with pytest.raises(OutputExists, match=r"full.safetensors exists; .*--overwrite"):
        deploy(networks, EXAMPLE, tmp_path, formats=("state-dict",))
    assert [path.name for path in tmp_path.iterdir()] == ["full.safetensors"]
    deploy(networks, EXAMPLE, tmp_path, formats=("state-dict",), overwrite=True)
    assert (tmp_path / "full.safetensors").read_bytes() != b"mine"


def test_a_name_that_is_a_path_stays_in_the_folder(tmp_path):
    names = ["../up", "..", "a/b", "a b", ""]
    found = deploy({name: network(2) for name in names}, EXAMPLE, tmp_path / "in", formats=("state-dict",))
    assert len({each.file.path for each in found}) == len(names)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    assert len(list((tmp_path / "in").iterdir())) == len(names)


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"formats": ()}, UnknownName, "nothing to write"),
        ({"formats": ("tflite",)}, UnknownName, "unknown format 'tflite'; known: state-dict"),
        ({"formats": ("state-dict", "sparse")}, UnknownName, "files of the same names"),
    ],
)
def test_what_can_not_be_asked_for_is_told(networks, tmp_path, options, error, told):
    with pytest.raises(error, match=told):
        deploy(networks, EXAMPLE, tmp_path / "new", **options)
    assert not (tmp_path / "new").exists()


def test_a_folder_that_can_not_be_made_is_named(networks, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(PathError, match="can't make the folder"):
        deploy(networks, EXAMPLE, tmp_path / "file" / "in", formats=("state-dict",))


def test_a_runtime_that_can_not_run_the_file_is_named(networks, tmp_path, monkeypatch):
    def fails(graph, example, threads):
        raise RuntimeError("no such operator\nat all")

    monkeypatch.setitem(deploy.__globals__, "GRAPHS", {"onnxruntime": fails})
    with pytest.raises(ExportError, match=r"onnxruntime can't run .*onnx, which agrees .*: no such operator$"):
        deploy({"one": network(2)}, EXAMPLE, tmp_path)
