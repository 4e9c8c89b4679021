"""Levels of few bits in a file: the bytes that it says, the bits that were computed, the others as they were."""

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open

import elastic
from elastic import checkpoint, tuning
from elastic.data import Preprocessing, evaluate, images_loader, load
from elastic.errors import FileFormatError, InvalidBits
from elastic.metadata import read_header, verify_level
from elastic.nesting.family import family_of
from elastic.proofs import same_bits
from elastic.quantise import quantised_layers
from elastic.quantising import quantise_levels
from elastic.recipes import Recipe

NETWORK = "elastic/digits_resnet"
EXAMPLE = torch.zeros(1, 1, 8, 8)
PREPROCESSING = Preprocessing.default(NETWORK)


@pytest.fixture(scope="module")
def tested():
    return images_loader(load("digits", train=False, preprocessing=PREPROCESSING), 360)


@pytest.fixture(scope="module")
def floats(trained, digits, tmp_path_factory):
    path = tmp_path_factory.mktemp("levels") / "floats.safetensors"
    images = [images for images, _ in images_loader(digits, 128, limit=256, seed=0)]
    pruned = elastic.prune(trained, EXAMPLE, target=["macs=30%", "macs=60%"], data=images)
    pruned.save(path, model_name=NETWORK, input=PREPROCESSING.to_dict())
    return path


@pytest.fixture(scope="module")
def few(floats, digits, tested):
    path = floats.with_name("few.safetensors")
    quantise_levels(
        floats, path, digits, levels=["30%", "full"], bits="W4A8", measure=lambda net: evaluate(net, tested).top1
    )
    return path


def test_smaller_levels_are_replaced_and_the_largest_gets_one_below_it(few):
    assert [level.name for level in read_header(few).levels] == ["macs=30%-W4A8", "macs=60%", "full-W4A8", "full"]


def test_levels_of_floats_stay_bit_for_bit(floats, few):
    for name in ("macs=60%", "full"):
        before, after = elastic.load_state(floats, name), elastic.load_state(few, name)
        assert list(before) == list(after)
        assert all(same_bits(tensor, after[key]) for key, tensor in before.items())


@pytest.mark.parametrize("level", range(4))
def test_every_level_has_its_digest(few, level):
    verify_level(few, level)


def test_a_loaded_level_computes_what_was_measured(few, tested):
    for name in ("macs=30%-W4A8", "full-W4A8"):
        level = next(each for each in read_header(few).levels if each.name == name)
        network = checkpoint.load(few, name)
        assert str(next(iter(quantised_layers(network).values())).bits) == "W4A8"
        assert evaluate(network, tested).top1 == level.metrics["top1"] > 60


def test_its_weights_are_multiples_of_steps_with_the_levels_of_four_bits(few):
    network = checkpoint.load(few, "full-W4A8")
    for layer in quantised_layers(network).values():
        steps = layer.weight_quantiser.step.view(-1, *[1] * (layer.weight.dim() - 1))
        numbers = layer.weight / steps
        assert (numbers - numbers.round()).abs().max() < 1e-4
        assert numbers.abs().max() < 7.5


def test_a_level_takes_the_bytes_that_the_file_says(few, tmp_path):
    for level in read_header(few).levels:
        out = tmp_path / f"{level.macs}-{len(level.own)}.safetensors"
        elastic.export(checkpoint.load(few, level.name), EXAMPLE, out, "state-dict")
        assert out.stat().st_size == level.bytes
    whole, eighth = (
        next(each.bytes for each in read_header(few).levels if each.name == n) for n in ("full", "full-W4A8")
    )
    assert eighth < whole / 4


def test_a_level_is_exported_in_integers_that_predict_the_same(few, tested, tmp_path):
    import onnxruntime

    network = checkpoint.load(few, "macs=30%-W4A8")
    elastic.export(network, EXAMPLE, tmp_path / "few.onnx", "onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "few.onnx"), providers=["CPUExecutionProvider"])
    images = torch.cat([images for images, _ in tested])
    made = session.run(None, {session.get_inputs()[0].name: images.numpy()})[0]
    assert (made.argmax(1) == network(images).argmax(1).numpy()).mean() > 0.99


def test_trained_levels_are_told_of_and_better_than_calibrated_ones(floats, digits, tested, tmp_path):
    def top1(net):
        return evaluate(net, tested).top1

    recipe = Recipe(epochs=2, batch=64, learning_rate=0.02, shift=1, mirror=False)
    (found,) = quantise_levels(
        floats, tmp_path / "t.safetensors", digits, recipe, levels=[0], bits="W2A4", measure=top1
    )
    assert (found.name, found.source, len(found.epochs)) == ("macs=30%-W2A4", "macs=30%", 2)
    assert found.top1["float"] > found.top1["trained"] > found.top1["calibrated"] + 5
    made, source = read_header(tmp_path / "t.safetensors").levels[0], read_header(floats).levels[0]
    assert (found.bytes, found.bytes_of_floats) == (made.bytes, source.bytes)
    assert found.top1["trained"] == made.metrics["top1"]
    assert any(clips[0] != clips[1] for clips in (layer.clips for layer in found.layers))
    quantise_levels(floats, tmp_path / "c.safetensors", digits, levels=[0], bits="W2A4", measure=top1)
    assert read_header(tmp_path / "c.safetensors").levels[0].metrics["top1"] == found.top1["calibrated"]


def test_files_with_such_levels_are_not_changed_into_floats_unseen(few, digits, tmp_path):
    with pytest.raises(InvalidBits, match=r"level 'macs=30%-W4A8' of .* is quantised already"):
        quantise_levels(few, tmp_path / "n.safetensors", digits, levels=[0])
    with pytest.raises(InvalidBits, match=r"has levels of few bits \(macs=30%-W4A8, full-W4A8\), and this changes"):
        tuning.fine_tune(few, tmp_path / "n.safetensors", digits, level=1)
    with pytest.raises(InvalidBits, match="has levels of few bits"):
        elastic.load_width(few, "macs=40%")
    with pytest.raises(InvalidBits, match="has levels of few bits"):
        family_of(few)


def test_a_live_network_predicts_what_was_measured_at_every_level(few, tested):
    net = elastic.load(few)
    for level in read_header(few).levels:
        if level.own:
            assert evaluate(net.switch(level.name), tested).top1 == level.metrics["top1"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda layers: layers.update(conv1={"bits": "W9A8", "shape": [1, 1]}), "can't be read"),
        (lambda layers: layers["conv1"].update(shape=[16, 1, 3, 4]), "packed weight of 'conv1' is not whole"),
        (lambda layers: layers.update(other=layers.pop("conv1")), "packed weight of 'other' is not whole"),
        (lambda layers: layers.pop("conv1"), "nothing stands for 'conv1.weight'"),
    ],
    ids=["bits", "shape", "name", "missing"],
)
def test_a_file_that_says_other_things_of_its_layers_is_refused(few, tmp_path, change, told):
    data = few.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    described = json.loads(header["__metadata__"]["elastic"])
    change(described["recipe"]["quantised"]["full-W4A8"])
    header["__metadata__"]["elastic"] = json.dumps(described)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    (tmp_path / "n.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])
    with pytest.raises(FileFormatError, match=told):
        checkpoint.load(tmp_path / "n.safetensors", "full-W4A8")


def test_packed_levels_lie_in_the_file_as_bytes(few):
    with safe_open(few, framework="numpy") as file:
        packed = file.get_tensor("conv1.weight_quantiser.levels")
    assert packed.dtype == np.uint8
    assert packed.ndim == 1
