"""QDQ: the ONNX file tells digits apart as torch does, and its weights are bytes."""

import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, numpy_helper
from torch import nn

from elastic.exporting import export
from elastic.proofs import relative_error
from elastic.quantise import quantised


def outputs(path, images):
    return torch.from_numpy(onnxruntime.InferenceSession(path).run(None, {"input": images.numpy()})[0])


@pytest.fixture(scope="module")
def exported(rounded_digits, tested, tmp_path_factory):
    return export(rounded_digits, tested[:1], tmp_path_factory.mktemp("qdq") / "net.onnx", "onnx")


def test_all_digits_are_told_apart_as_by_torch(exported, rounded_digits, tested):
    with torch.no_grad():
        wanted = rounded_digits(tested).argmax(1)
    assert torch.equal(outputs(exported.path, tested).argmax(1), wanted)


def test_weights_are_bytes_around_128_and_norms_are_gone(exported, rounded_digits):
    graph = onnx.load(exported.path).graph
    held = {each.name: each for each in graph.initializer}
    kinds = [node.op_type for node in graph.node]
    scaled = [node.input[0] for node in graph.node if node.op_type == "DequantizeLinear"]
    weights = [held[name] for name in scaled if name in held and name.endswith("weight")]
    biases = [held[name] for name in scaled if name in held and name.endswith("bias")]
    layers = sum(hasattr(module, "weight_quantiser") for module in rounded_digits.modules())
    assert len(weights) == layers
    assert {each.data_type for each in weights} == {TensorProto.UINT8}
    assert {each.data_type for each in biases} == {TensorProto.INT32}
    assert min(numpy_helper.to_array(each).min() for each in weights) == 1
    assert 0 < kinds.count("QuantizeLinear") <= layers  # layers that read the same, alike, share one
    assert "BatchNormalization" not in kinds


def test_the_file_is_smaller_than_floats_alone_would_be(exported, trained):
    assert exported.bytes < 0.9 * 4 * sum(parameter.numel() for parameter in trained.parameters())


@pytest.mark.parametrize(("bits", "is_signed"), [("W4A4", True), ("W8A8", True), ("W2A3", False)])
def test_few_bits_clip_as_in_torch(bits, is_signed, tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 16, 5))
    images = torch.randn(16, 3, 6, 6) if is_signed else torch.rand(16, 3, 6, 6)
    network = quantised(model, [images], bits)
    done = export(network, images[:1], tmp_path / "net.onnx", "onnx")
    with torch.no_grad():
        assert relative_error(outputs(done.path, 5 * images), network(5 * images)) < 0.01
