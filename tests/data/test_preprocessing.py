import json
import math

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models import ResNet50_Weights, Swin_T_Weights

from elastic.data import Preprocessing
from elastic.errors import DataError, FileFormatError, UnknownName

CIFAR = Preprocessing.default("elastic/resnet20")


def picture(width, height, *, seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    "name",
    ["elastic/resnet20", "elastic/digits_resnet", "torchvision/resnet50", "torchvision/vit_h_14", "timm/resnet18"],
)
def test_from_dict_gives_back_what_to_dict_wrote(name):
    preprocessing = Preprocessing.default(name)
    assert Preprocessing.from_dict(json.loads(json.dumps(preprocessing.to_dict()))) == preprocessing


@pytest.mark.parametrize(
    ("name", "weights"),
    [("torchvision/resnet50", ResNet50_Weights.DEFAULT), ("torchvision/swin_t", Swin_T_Weights.DEFAULT)],
    ids=["bilinear", "bicubic"],
)
def test_the_default_of_a_torchvision_network_equals_its_own_transform(name, weights):
    image = picture(330, 270)
    ours, theirs = Preprocessing.default(name).transform()(image), weights.transforms()(image)
    assert torch.allclose(ours, theirs, rtol=0, atol=1e-6)  # theirs divides by 255 where ours multiplies


def test_the_default_of_a_timm_network_is_in_its_configuration():
    preprocessing = Preprocessing.default("timm/resnet18.a1_in1k")
    assert (preprocessing.size, preprocessing.resize, preprocessing.interpolation) == (224, 235, "bicubic")


def test_a_model_of_the_users_own_has_no_default():
    with pytest.raises(UnknownName, match="is no network of the registry"):
        Preprocessing.default("package.module:factory")


def test_values_are_scaled_and_normalised_per_channel():
    image = torch.stack([torch.full((32, 32), value, dtype=torch.uint8) for value in (0, 51, 255)])
    out = CIFAR.with_(mean=(0.5, 0.1, 0.0), std=(0.5, 0.1, 2.0)).transform()(image)
    assert torch.allclose(out[:, 0, 0], torch.tensor([-1.0, 1.0, 0.5]))


def test_an_image_of_the_right_size_is_taken_as_it_is():
    preprocessing = Preprocessing(channels=3, size=8, resize=10, crop=True, mean=(0.0,) * 3, std=(1.0,) * 3)
    image = torch.rand(3, 8, 8)
    assert torch.equal(preprocessing.transform()(image), image)


@pytest.mark.parametrize(("channels", "given"), [(1, 3), (3, 1), (3, 3), (1, 1), (2, 2)])
def test_grey_and_colour_become_what_the_network_takes(channels, given):
    preprocessing = Preprocessing(channels=channels, size=4, mean=(0.0,) * channels, std=(1.0,) * channels)
    assert preprocessing.transform()(torch.rand(given, 4, 4)).shape == (channels, 4, 4)


def test_a_batch_passes_as_its_images_do():
    batch = torch.randint(0, 256, (5, 3, 32, 32), dtype=torch.uint8)
    transform = CIFAR.transform()
    assert torch.equal(transform(batch), torch.stack([transform(image) for image in batch]))


@pytest.mark.parametrize(
    ("options", "claim"),
    [
        ({}, "an image has 40 x 50 pixels, the network takes 32 x 32"),
        ({"resize": 32}, "has 32 x 40 pixels after its shorter edge was resized to 32"),
        ({"resize": 20, "crop": True}, "has 20 x 25 pixels after its shorter edge was resized to 20"),
    ],
    ids=["as-is", "resized", "too-small-to-crop"],
)
def test_an_image_of_another_size_is_refused(options, claim):
    with pytest.raises(DataError, match=claim):
        CIFAR.with_(**options).transform()(picture(50, 40))


def test_with_ignores_options_that_were_not_given():
    assert CIFAR.with_(size=64, mean=None, std=None) == CIFAR.model_copy(update={"size": 64})


@pytest.mark.parametrize(
    ("change", "claim"),
    [
        ({"size": 0}, "size: Input should be greater than or equal to 1"),
        ({"size": 10**9}, "size: Input should be less than or equal to 16384"),
        ({"size": "32"}, "size: Input should be a valid integer"),
        ({"size": 3.5}, "size: "),
        ({"mean": [0.5]}, "3 channels, but 1 means and 3 deviations"),
        ({"std": [1, 1, 0]}, "std.2: Input should be greater than 0"),
        ({"std": [1, 1, math.inf]}, "std.2: Input should be a finite number"),
        ({"mean": [0, 0, math.nan]}, "mean.2: Input should be a finite number"),
        ({"interpolation": "nearest"}, "interpolation: Input should be 'bilinear' or 'bicubic'"),
        ({"gain": 1}, "gain: Extra inputs are not permitted"),
        ({"mean": {1, 2}}, "not JSON values"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_hostile_dictionary_is_refused_with_the_field_named(change, claim):
    with pytest.raises(FileFormatError, match=claim):
        Preprocessing.from_dict(CIFAR.to_dict() | change, where="net.safetensors")


def test_what_the_file_beside_a_checkpoint_says_goes_first(tmp_path):
    (tmp_path / "net.json").write_text(json.dumps({"input": {"mean": [0.1, 0.2, 0.3], "size": 40}, "licence": "MIT"}))
    found = Preprocessing.beside(tmp_path / "net.safetensors", CIFAR)
    assert (found.mean, found.size, found.std) == ((0.1, 0.2, 0.3), 40, CIFAR.std)


@pytest.mark.parametrize("text", [None, "{}", '{"name": "x"}'], ids=["no-file", "empty", "no-input"])
def test_without_such_a_file_the_default_stays(tmp_path, text):
    if text is not None:
        (tmp_path / "net.json").write_text(text)
    assert Preprocessing.beside(tmp_path / "net.pt", CIFAR) == CIFAR


@pytest.mark.parametrize(
    ("text", "claim"),
    [
        ("{", "net.json is no JSON"),
        ("[1]", "net.json should hold"),
        ('{"input": [1]}', "net.json should hold"),
        ('{"input": {"mean": [0.5]}}', "net.json: .*3 channels, but 1 means"),
        ('{"input": {"average": [0.5]}}', "net.json: average: Extra inputs"),
    ],
    ids=["cut-off", "list", "list-inside", "too-short", "unknown"],
)
def test_a_damaged_file_beside_a_checkpoint_is_refused(tmp_path, text, claim):
    (tmp_path / "net.json").write_text(text)
    with pytest.raises(FileFormatError, match=claim):
        Preprocessing.beside(tmp_path / "net.pt", CIFAR)
