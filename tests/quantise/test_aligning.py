"""Aligning: biases of whole steps, and nothing else."""

import logging

import onnxruntime
import pytest
import torch
from torch import nn

from elastic.errors import TraceError
from elastic.exporting import export
from elastic.proofs import same_bits
from elastic.quantise import aligned, folded, quantised, quantised_layers
from elastic.quantise.aligning import plan_of_floats, sum_steps


@pytest.fixture(scope="module")
def calibrated(trained, batches):
    return quantised(trained, batches)


def biases_of(network, example):
    found = folded(network, plan_of_floats(network, example), example)
    return {name: layer.bias / sum_steps(layer) for name, layer in quantised_layers(found).items()}


def test_folded_biases_are_whole_and_moved_by_half_a_step_at_most(calibrated, batches):
    before, after = (biases_of(each, batches[0][:1]) for each in (calibrated, aligned(calibrated, batches[0][:1])))
    for name, bias in after.items():
        whole = bias.round()
        assert (bias - whole).abs().max() <= 1e-3 + 1e-6 * whole.abs().max()
        assert (before[name] - whole).abs().max() <= 0.501
    assert max((before[name] - before[name].round()).abs().max() for name in before) > 0.4


def test_only_biases_of_norms_and_of_layers_without_one_change(calibrated, batches):
    found = aligned(calibrated, batches[0][:1]).state_dict()
    changed = {name for name, tensor in calibrated.state_dict().items() if not same_bits(tensor, found[name])}
    assert changed == {name for name in found if name.endswith("bias")}


def test_a_network_that_is_aligned_stays(rounded_digits, batches):
    again = aligned(rounded_digits, batches[0][:1])
    for name, tensor in rounded_digits.state_dict().items():
        assert torch.allclose(tensor, again.state_dict()[name], rtol=1e-5, atol=1e-6)


def test_channels_that_a_norm_multiplies_by_zero_and_norms_without_biases_stay():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 1, bias=False))
    model.append(nn.BatchNorm2d(4, affine=False)).append(nn.Flatten()).append(nn.Linear(64, 2)).eval()
    model[1].weight.data[1] = 0
    model[1].bias.data[1] = 0.123
    network = quantised(model, [torch.randn(8, 3, 6, 6)])
    found = aligned(network, torch.zeros(1, 3, 6, 6))
    assert found[1].bias[1] == network[1].bias[1]
    assert not torch.equal(found[1].bias, network[1].bias)
    assert found(torch.randn(2, 3, 6, 6)).isfinite().all()


def test_integer_kernels_find_the_same_logits_for_most_images(rounded_digits, tested, tmp_path):
    path = export(rounded_digits, tested[:1], tmp_path / "net.onnx", "onnx").path
    found = torch.from_numpy(onnxruntime.InferenceSession(path).run(None, {"input": tested.numpy()})[0])
    with torch.no_grad():
        wanted = rounded_digits(tested)
    same = ((found - wanted).abs().amax(1) < 1e-3 * wanted.abs().max()).float().mean()
    assert same > 0.8


def test_a_network_that_cannot_be_traced_stays_with_a_warning(calibrated, batches, caplog, monkeypatch):
    def fails(*_):
        raise TraceError("its code can't be followed")

    monkeypatch.setattr("elastic.quantise.aligning.trace", fails)
    with caplog.at_level(logging.WARNING):
        found = aligned(calibrated, batches[0][:1]).state_dict()
    assert all(same_bits(tensor, found[name]) for name, tensor in calibrated.state_dict().items())
    assert "its code can't be followed" in caplog.text
