"""The picture as a whole: valid, the same every time, and every layer in it."""

import os
import re
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

import elastic
from elastic import models
from elastic.drawing.sheet import picture
from elastic.errors import OutputExists, PathError, PlanMismatch
from elastic.plan import Layer, Plan, TensorSpec

SVG = "{http://www.w3.org/2000/svg}"
NETWORKS = ["elastic/resnet20", "torchvision/densenet121", "torchvision/mobilenet_v3_small", "torchvision/vit_b_16"]


def plan_of(name):
    size = 32 if name.startswith("elastic/") else 224
    return elastic.trace(models.build(name), torch.zeros(1, 3, size, size))


def make_stream():
    return elastic.trace(models.build("elastic/digits_resnet"), torch.zeros(1, 1, 8, 8))


@pytest.fixture(scope="module", params=NETWORKS)
def plan(request):
    return plan_of(request.param)


@pytest.fixture(scope="module")
def stream():
    return make_stream()


def texts(svg):
    return [element.text for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_a_picture_names_every_layer_with_a_weight(plan):
    shown = set(texts(picture(plan, "net")))
    assert {layer.module for layer in plan.layers if layer.kind == "convolution"} <= shown


def test_nothing_lies_outside_the_picture(plan):
    root = ElementTree.fromstring(picture(plan, "net"))
    width, height = (float(root.get(side)) for side in ("width", "height"))
    for element in root.iter():
        assert 0 <= float(element.get("x", 0)) <= width
        assert 0 <= float(element.get("y", 0)) <= height
        if element.tag == f"{SVG}text":
            assert float(element.get("x")) + 6 * len(element.text) <= width


def test_a_picture_is_named_and_described_for_those_who_do_not_see_it(stream):
    root = ElementTree.fromstring(picture(stream, "my net"))
    assert root.get("aria-labelledby") == "title desc"
    assert root.find(f"{SVG}title").text == "my net"
    assert "10 layers, 1 of them frozen" in root.find(f"{SVG}desc").text


def bars(svg):
    """Return the fill or class of the bar of each row, by the first line of what a pointer shows."""
    found = {}
    for group in ElementTree.fromstring(svg).iter(f"{SVG}g"):
        (bar, *_) = group.iter(f"{SVG}rect")
        found[group.find(f"{SVG}title").text.splitlines()[0]] = bar.get("fill") or bar.get("class")
    return found


def test_layers_that_leave_together_have_one_colour_and_others_another(stream):
    colour = bars(picture(stream, "net"))
    assert colour["conv1"] == colour["layer1.0.conv2"] == colour["layer1.0 add"]
    assert len({colour[name] for name in ("conv1", "layer1.0.conv1", "layer2.0.conv1", "layer2.0.conv2")}) == 4


def test_what_is_frozen_is_hatched(stream):
    assert [name for name, fill in bars(picture(stream, "net")).items() if fill == "frozen"] == ["fc"]


def test_a_pointer_shows_what_a_layer_leaves_with(stream):
    assert "layer1.0.conv2\ngroup 1 (conv1): 16 units, with conv1<" in picture(stream, "net")


def test_the_foot_says_what_would_free_what_is_frozen(stream):
    shown = texts(picture(stream, "net"))
    assert shown[shown.index("it is the network's output") + 1].startswith("nothing: ")


def test_the_same_plan_gives_the_same_bytes_in_another_process(stream):
    script = (
        "import sys, torch, elastic; from elastic import models; from elastic.drawing.sheet import picture;"
        "plan = elastic.trace(models.build('elastic/digits_resnet'), torch.zeros(1, 1, 8, 8));"
        "sys.stdout.buffer.write(picture(plan, 'net').encode())"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, check=True)
    assert done.stdout.decode() == picture(stream, "net")


@pytest.mark.parametrize("name", ["<a & 'b'>", "]]>", "\x00\x1b[0m", "\ud800", "ü→", ""], ids=ascii)
def test_whatever_a_module_is_called_the_picture_is_valid(name):
    layer = Layer(name, "convolution", (), f"{name}.weight", (1, 4, 2, 2), {1: np.arange(4)})
    plan = Plan({("w", 0): np.arange(4)}, {"w": TensorSpec((4, 3, 1, 1), "F32", True)}, (), layers=(layer,))
    ElementTree.fromstring(picture(plan, name or "net").encode())


def test_numbers_are_short(stream):
    assert not re.search(r"\d\.\d{3}", picture(stream, "net").replace(r"fill: url", ""))


def test_a_plan_without_layers_is_refused(tmp_path):
    plan = Plan({("w", 0): np.arange(4)}, {"w": TensorSpec((4,), "F32", True)}, ())
    with pytest.raises(PlanMismatch, match=r"no layers to draw.*trace the model with the elastic engine"):
        elastic.draw(plan, tmp_path / "net.svg")
    assert not list(tmp_path.iterdir())


def test_another_kind_of_file_is_refused(stream, tmp_path):
    with pytest.raises(PathError, match=r"net\.png would be an \.svg file"):
        elastic.draw(stream, tmp_path / "net.png")


def test_a_picture_that_is_there_is_replaced_only_when_asked(stream, tmp_path):
    elastic.draw(stream, tmp_path / "net.svg")
    with pytest.raises(OutputExists, match=r"net\.svg exists"):
        elastic.draw(stream, tmp_path / "net.svg", title="other")
    elastic.draw(stream, tmp_path / "net.svg", title="other", overwrite=True)
    assert '<title id="title">other</title>' in (tmp_path / "net.svg").read_text()
