"""The report of few bits: what it has of each level and each layer."""

from dataclasses import replace

import pytest

from elastic.quantise import LayerOutcome, Outcome, layer_outcomes, quantised
from elastic.quantise.report import report_of
from elastic.reporting import read_report, write_report
from elastic.training import Epoch

EPOCH = Epoch(epoch=1, loss=0.5, top1=80.0, learning_rate=0.1, seconds=1.0, images_per_second=9.0)
LAYERS = (
    LayerOutcome("conv1", "W4A8", 400, 58, (0.01, 0.02), (2.0, 2.5), True),
    LayerOutcome("fc", "float", 800, 800),
)
TRAINED = Outcome(
    "full-W4A8", "full", 1200, 900, LAYERS, {"float": 90.0, "calibrated": 70.0, "trained": 88.0}, (EPOCH,)
)
CALIBRATED = replace(TRAINED, top1={"float": 90.0, "calibrated": 70.0}, epochs=())


def parts(report):
    return {part.name: part for part in report.parts}


def test_a_trained_level_is_told_beside_floats_and_beside_what_it_was_before():
    report = report_of([TRAINED], "net.safetensors", {"bits": "W4A8"})
    found = parts(report)
    assert found["levels"].rows == (("full-W4A8", "full", 1200, 900, 0.75, 90.0, 70.0, 88.0),)
    assert found["accuracy"].values == {"float": [90.0], "calibrated": [70.0], "trained": [88.0]}
    assert found["bytes"].values == {"floats": [1200], "few bits": [900]}
    assert found["layers-0"].rows[0] == ("conv1", "W4A8", 400, 58, 0.01, 0.02, True, 2.0, 2.5)
    assert found["layers-0"].rows[1] == ("fc", "float", 800, 800, None, None, None, None, None)
    assert found["clips-0"].values == {"calibrated": [2.0], "trained": [2.5]}
    assert found["training"].lines == {"full-W4A8": [(1, 80.0)]}
    assert "trained, it has 88.00 % on the test images, in floats 90.00 %" in report.lead


def test_without_training_there_are_no_curves_and_one_clip():
    found = parts(report_of([CALIBRATED], "net.safetensors", {}))
    assert "training" not in found
    assert found["layers-0"].heads[-1] == "clip, calibrated"
    assert found["levels"].rows[0][-1] is None


def test_what_was_not_measured_is_left_out():
    report = report_of([replace(CALIBRATED, top1={})], "net.safetensors", {})
    assert "accuracy" not in parts(report)
    assert report.lead.endswith("takes 900 B, in floats 1.20 kB.")


def test_levels_have_parts_of_their_own(tmp_path):
    report = report_of([CALIBRATED, replace(TRAINED, name="other")], "net.safetensors", {})
    write_report(report, tmp_path)
    assert {"layers-0", "clips-0", "layers-1", "clips-1"} <= set(parts(read_report(tmp_path)))
    assert (tmp_path / "clips-1.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "clips-1.svg").exists()


@pytest.fixture(scope="module")
def mixed(trained, batches):
    return quantised(trained, batches, "W4A8,fc=float")


def test_layers_are_told_in_their_order_with_those_left_in_floats(mixed):
    found = {each.name: each for each in layer_outcomes(mixed, mixed)}
    assert next(iter(found)) == "conv1"
    assert found["fc"].bits == "float"
    assert found["fc"].clips is None
    assert found["conv1"].bits == "W4A8"
    weight = mixed.get_submodule("conv1").weight
    assert found["conv1"].bytes == weight.numel() // 2 + 4 * len(weight)
    assert found["conv1"].bytes_of_floats == 4 * weight.numel()


def test_a_clip_is_the_largest_input_that_stays_what_it_is(mixed):
    quantiser = mixed.get_submodule("conv1").input_quantiser
    clip = next(each.clips for each in layer_outcomes(mixed, mixed) if each.name == "conv1")[1]
    assert float(quantiser(mixed.conv1.weight.new_tensor([[2 * clip]])).detach()) == pytest.approx(clip)
