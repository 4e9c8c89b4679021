"""The main job with published checkpoints and real images; skipped where ELASTIC_DATA names none."""

import json

import pytest
import torch
from safetensors.torch import load_file

from tests.cli.command_line import run


@pytest.fixture(scope="module")
def work(real_data, tmp_path_factory):
    """A folder with resnet20.safetensors and resnet56.safetensors, each pruned to half."""
    folder = tmp_path_factory.mktemp("real")
    for name, targets in (("resnet20", ["macs=50%", "macs=25%"]), ("resnet56", ["macs=50%"])):
        weights = real_data / "checkpoints" / f"{name}_cifar10.safetensors"
        asked = [word for target in targets for word in ("--target", target)]
        done = run("prune", f"elastic/{name}", "--weights", weights, *asked, "-o", folder / f"{name}.safetensors")
        assert done.code == 0, done.err
    return folder


def correct(network, data, *options):
    done = run("eval", network, "--data", f"cifar10:{data}", *options, "--json").json
    return done["correct"], done["loss"]


@pytest.mark.parametrize("name", ["resnet20", "resnet56"])
def test_what_is_rebuilt_is_the_checkpoint_bit_for_bit(work, real_data, tmp_path, name):
    weights = real_data / "checkpoints" / f"{name}_cifar10.safetensors"
    output = tmp_path / "whole.safetensors"
    done = run("rebuild", work / f"{name}.safetensors", "-o", output, "--against", weights, "--json").json
    original, rebuilt = load_file(weights), load_file(output)
    assert done["equal_to_original"] == len(original)
    assert all(torch.equal(tensor, rebuilt[key]) for key, tensor in original.items())


@pytest.mark.parametrize("name", ["resnet20", "resnet56"])
def test_accuracy_on_some_images_is_the_same_before_and_after(work, real_data, tmp_path, name):
    weights = real_data / "checkpoints" / f"{name}_cifar10.safetensors"
    output = tmp_path / "whole.safetensors"
    run("rebuild", work / f"{name}.safetensors", "-o", output)
    before = correct(f"elastic/{name}", real_data, "--weights", weights, "--limit", "500")
    after = correct(f"elastic/{name}", real_data, "--weights", output, "--limit", "500")
    core = correct(work / f"{name}.safetensors", real_data, "--level", "smallest", "--limit", "500")
    assert before == after
    assert before[0] > 440
    assert core[0] < before[0]


@pytest.mark.slow
def test_resnet56_is_as_good_after_it_was_rebuilt_as_it_was_published(work, real_data, tmp_path):
    weights = real_data / "checkpoints" / "resnet56_cifar10.safetensors"
    output = tmp_path / "whole.safetensors"
    run("rebuild", work / "resnet56.safetensors", "-o", output)
    assert correct("elastic/resnet56", real_data, "--weights", weights)[0] == 9339
    assert correct("elastic/resnet56", real_data, "--weights", output)[0] == 9339
    assert correct(work / "resnet56.safetensors", real_data)[0] == 9339
    assert correct(work / "resnet56.safetensors", real_data, "--level", "macs=50%")[0] < 9000


def test_every_proof_holds(work, real_data):
    weights = real_data / "checkpoints" / "resnet20_cifar10.safetensors"
    done = run("verify", work / "resnet20.safetensors", "--against", weights, "--to", "torch-export", "--json").json
    assert done["equal_to_original"] == len(load_file(weights))
    assert max(level["export_error"] for level in done["levels"]) < 1e-4


@pytest.mark.parametrize("name", ["resnet20", pytest.param("resnet56", marks=pytest.mark.slow)])
def test_every_level_as_onnx_agrees_with_torch(work, tmp_path, name):
    for level in ("smallest", "largest"):
        output = tmp_path / f"{level}.onnx"
        done = run("export", work / f"{name}.safetensors", "--level", level, "-o", output, "--json").json
        assert done["error"] < 1e-4


def test_preprocessing_of_the_checkpoint_travels_in_the_file(work, real_data):
    beside = json.loads((real_data / "checkpoints" / "resnet20_cifar10.json").read_text())["input"]
    kept = run("info", work / "resnet20.safetensors", "--json").json["input"]
    assert (kept["mean"], kept["std"]) == (beside["mean"], beside["std"])


def test_a_file_is_smaller_than_its_levels_apart(work):
    told = run("info", work / "resnet20.safetensors", "--json").json
    assert told["bytes"] < 1.06 * told["levels"][-1]["bytes"]


def test_a_checkpoint_of_another_depth_is_refused(real_data, tmp_path):
    weights = real_data / "checkpoints" / "resnet20_cifar10.safetensors"
    output = tmp_path / "new.safetensors"
    done = run("prune", "elastic/resnet56", "--weights", weights, "--target", "macs=50%", "-o", output)
    assert done.code == 1
    assert "is not one of this model" in done.err
    assert not output.exists()


def test_data_with_more_classes_than_the_network_are_refused(work, real_data):
    done = run("eval", work / "resnet20.safetensors", "--data", f"cifar100:{real_data}", "--limit", "200")
    assert done.code == 1
    assert "but the network has 10 outputs" in done.err.splitlines()[-1]


CHECKPOINTS = {
    "vgg6_bn_cifar10": "elastic/vgg6_bn",
    "wrn16_1_cifar10": "elastic/wrn16_1",
    "resnet8p_cifar10": "elastic/resnet8p",
    "resnet20p_cifar100": "elastic/resnet20p",
    "squeezenet1_1_imagenet": "torchvision/squeezenet1_1",
    "mobilenet_v2_imagenet": "torchvision/mobilenet_v2",
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_every_checkpoint_is_pruned_and_comes_back(real_data, tmp_path, name):
    weights, net = real_data / "checkpoints" / f"{name}.safetensors", tmp_path / "net.safetensors"
    classes = ["--num-classes", "100"] if name.endswith("cifar100") else []
    done = run("prune", CHECKPOINTS[name], "--weights", weights, *classes, "--target", "macs=60%", "-o", net, "--json")
    assert 0.59 < done.json["levels"][0]["share_of_macs"] <= 0.6
    whole = run("rebuild", net, "-o", tmp_path / "whole.safetensors", "--against", weights, "--json")
    assert whole.json["equal_to_original"] == len(load_file(weights))
