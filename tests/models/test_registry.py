import subprocess
import sys

import pytest
import torch
from torch import nn

from elastic import models
from elastic.errors import UnknownName
from elastic.models import registry


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("resnet56", "elastic/resnet56"),
        ("elastic/resnet57", "elastic/resnet56"),
        ("torchvision/resnet5", "torchvision/resnet50"),
        ("timm/resnet5", "timm/resnet50"),
        ("vgg16", "torchvision/vgg16"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(asked, answer):
    with pytest.raises(UnknownName, match=f"unknown model '{asked}'; close: .*{answer}"):
        models.build(asked)


def test_a_name_that_is_near_nothing_is_answered_with_where_to_look():
    with pytest.raises(UnknownName, match=r"nothing comes close; elastic.models.names\(\) lists all"):
        models.build("qqqqqqqq")


@pytest.mark.parametrize("spec", ["os:getcwd", "timm/hf-hub:someone/something", "elastic/x:y"])
def test_building_never_imports_what_a_name_asks_for(spec):
    with pytest.raises(UnknownName, match="the factory has to be given by the user"):
        models.build(spec)


def test_a_shape_is_not_a_way_around_the_registry():
    with pytest.raises(UnknownName, match="the factory has to be given by the user"):
        models.example_shape("os:getcwd")


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        ("torchvision/resnet18", {"weights": "DEFAULT"}),
        ("torchvision/fcn_resnet50", {"weights_backbone": "DEFAULT"}),
        ("timm/resnet18", {"pretrained": True}),
        ("timm/resnet18", {"checkpoint_path": "x.pth"}),
    ],
    ids=["weights", "backbone", "pretrained", "checkpoint"],
)
def test_arguments_that_would_fetch_weights_are_refused(no_downloads, name, argument):
    with pytest.raises(UnknownName, match=f"{name} is built with random weights and takes no '{next(iter(argument))}'"):
        models.build(name, **argument)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [({"depth_": 3}, "unexpected keyword"), ({"num_classes": -1}, "negative"), ({"num_classes": "ten"}, "str")],
    ids=["unknown", "negative", "text"],
)
def test_arguments_that_do_not_fit_are_named(arguments, reason):
    key, value = next(iter(arguments.items()))
    with pytest.raises(UnknownName, match=f"elastic/resnet20 can't be built with {key}={value!r}: .*{reason}"):
        models.build("elastic/resnet20", **arguments)


@pytest.mark.parametrize("name", ["squeezenet1_1", "googlenet", "inception_v3", "fcn_resnet50", "ssd300_vgg16"])
def test_torchvision_networks_are_built_without_a_download(no_downloads, name):
    with torch.device("meta"):
        assert isinstance(models.build(f"torchvision/{name}"), nn.Module)


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_networks_with_auxiliary_classifiers_come_without_them(name):
    with torch.device("meta"):
        model = models.build(f"torchvision/{name}")
    assert not any("aux" in key.lower() for key in model.state_dict())


@pytest.mark.parametrize("name", ["timm/resnet18", "timm/resnet18.a1_in1k"])
def test_timm_networks_are_built_without_a_download(no_downloads, name):
    with torch.device("meta"):
        assert models.build(name, num_classes=3).fc.out_features == 3


def test_without_timm_the_answer_is_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UnknownName, match=r"pip install elastic-pruning\[timm\]"):
        models.build("timm/resnet18")


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("elastic/resnet20", (3, 32, 32)),
        ("elastic/digits_resnet", (1, 8, 8)),
        ("torchvision/resnet50", (3, 224, 224)),
        ("torchvision/inception_v3", (3, 299, 299)),
        ("torchvision/efficientnet_b3", (3, 300, 300)),
        ("torchvision/swin_v2_t", (3, 256, 256)),
        ("torchvision/vit_h_14", (3, 224, 224)),
        ("torchvision/fcn_resnet50", (3, 520, 520)),
        ("torchvision/ssd300_vgg16", (3, 320, 320)),
        ("timm/inception_v3", (3, 299, 299)),
    ],
)
def test_example_shapes_are_those_that_networks_were_made_for(name, shape):
    assert models.example_shape(name) == shape


@pytest.mark.parametrize("name", ["torchvision/r3d_18", "torchvision/raft_small"])
def test_networks_that_do_not_take_one_image_have_no_example_shape(name):
    with pytest.raises(UnknownName, match=f"{name} does not take one"):
        models.example_shape(name)


def test_names_hold_our_networks_and_torchvisions():
    names = models.names()
    assert names[: len(registry.NETWORKS)] == list(registry.NETWORKS)
    assert "torchvision/resnet50" in names


def test_importing_models_and_data_imports_neither_torchvision_nor_timm():
    code = "import sys, elastic.models, elastic.data; print({'torchvision', 'timm', 'sklearn'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_spec_may_name_a_network_of_the_registry():
    assert isinstance(models.from_spec("elastic/resnet8p"), nn.Module)


def test_a_spec_may_name_the_users_own_factory():
    model = models.from_spec("torch.nn:Linear", in_features=2, out_features=3)
    assert isinstance(model, nn.Linear)


def test_a_factory_that_returns_no_module_is_refused():
    with pytest.raises(UnknownName, match=r"'os:getcwd' returned a str, not a torch.nn.Module"):
        models.from_spec("os:getcwd")
