"""`elastic doctor`: what of a network can leave, what is frozen and what would free it: tables, JSON, a picture."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.cli.command_line import NETWORK

DOCS = Path(__file__).parents[2] / "docs"

OWN = """
import torch
from torch import nn

class Shop(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Conv2d(3, 12, 3)
        self.mixed = nn.Conv2d(12, 12, 1)
        self.head = nn.Linear(12, 4)
        self.spare = nn.Linear(5, 5)

    def forward(self, x):
        return self.head(torch.sort(self.mixed(self.body(x).relu()).mean((2, 3)))[0])
"""


@pytest.fixture
def shop(elastic):
    """A network whose last channels are sorted, in the current folder."""
    Path("shop.py").write_text(OWN)
    return elastic


def test_a_group_says_who_makes_and_who_uses_its_channels(elastic):
    first = elastic(f"doctor {NETWORK} --json").json["groups"][0]
    assert first.keys() == {"number", "group", "units", "channels", "layers", "params", "made_by", "used_by"}
    assert (first["number"], first["group"], first["made_by"]) == (1, "conv1", ["conv1", "layer1.0.conv2"])
    assert first["used_by"] == ["layer1.0.conv1", "layer2.0.conv1", "layer2.0.downsample.0"]


def test_the_table_of_groups_names_what_they_tie_together(elastic):
    lines = elastic(f"doctor {NETWORK}").out.splitlines()
    (line,) = (line.split() for line in lines if line.startswith("conv1 "))
    assert line[1:4] == ["1", "16", "16"]
    assert line[-3:] == ["2", "3", "layer1.0.conv2"]


def test_an_obstacle_says_what_it_holds_and_what_would_free_it(shop):
    obstacles = {each["reason"]: each for each in shop("doctor shop:Shop --size 8 --json").json["obstacles"]}
    sort = obstacles["`sort` is taken over it"]
    assert sort.keys() == {"reason", "line", "modules", "axes", "positions", "params", "natural", "advice"}
    assert sort["line"] == "shop.py:14"
    assert ["mixed.weight", 0] in sort["axes"]
    assert sort["advice"] == "lay the channels on another axis than the one that `sort` runs over"
    assert obstacles["nothing uses it on this input"]["axes"] == [["spare.weight", 0], ["spare.bias", 0]]


def test_what_would_free_it_is_said_below_the_table(shop):
    out = shop("doctor shop:Shop --size 8").out
    assert "`sort` is taken over it (shop.py:14)" in out
    advice = out.partition("what would have to change to free it\n")[2]
    assert "(1) lay the channels on another axis than the one that `sort` runs over\n" in advice
    assert "nothing: whoever" not in advice


def test_a_frozen_pattern_is_an_obstacle_that_can_be_left_out(elastic):
    done = elastic(f"doctor {NETWORK} --freeze layer1.*")
    assert "leave out --freeze 'layer1.*'" in done.out


def test_a_network_of_which_nothing_can_leave_is_told_what_holds_it(elastic):
    done = elastic(f"doctor {NETWORK} --freeze * --json")
    assert (done.code, done.json["units"], done.json["groups"]) == (0, 0, [])
    assert done.json["least"] == done.json["dense"]
    done = elastic(f"doctor {NETWORK} --freeze * --picture net.svg")
    assert "0 units in 0 groups" in done.out
    assert "leave out --freeze '*'" in done.out


def test_all_lists_every_frozen_axis(elastic):
    assert "every frozen axis" in elastic(f"doctor {NETWORK} --all").out
    assert "every frozen axis" not in elastic(f"doctor {NETWORK}").out


def test_the_other_engine_finds_the_same_groups_of_a_residual_network(elastic):
    ours, theirs = (elastic(f"doctor {NETWORK} --engine {e} --json").json for e in ("elastic", "torch-pruning"))
    assert (ours["engine"], theirs["engine"]) == ("elastic", "torch-pruning")
    kept = ("group", "units", "channels", "layers", "params")
    assert [[g[k] for k in kept] for g in ours["groups"]] == [[g[k] for k in kept] for g in theirs["groups"]]
    assert theirs["groups"][0]["made_by"] is None


def test_the_other_engine_shows_how_many_layers_a_group_has(elastic):
    lines = elastic(f"doctor {NETWORK} --engine torch-pruning").out.splitlines()
    assert any(line.split() == ["group", "number", "units", "channels", "of", "params", "layers"] for line in lines)


def test_the_picture_is_written_and_named(elastic):
    done = elastic(f"doctor {NETWORK} --picture net.svg")
    assert done.out.splitlines()[-1] == "net.svg: the network in forward order"
    assert ElementTree.parse("net.svg").getroot().tag.endswith("svg")


def test_json_names_the_picture(elastic):
    assert elastic(f"doctor {NETWORK} --picture net.svg --json").json["picture"] == "net.svg"
    assert elastic(f"doctor {NETWORK} --json").json["picture"] is None


def test_a_picture_is_replaced_when_asked(elastic):
    Path("net.svg").write_text("mine")
    assert elastic(f"doctor {NETWORK} --picture net.svg --overwrite").code == 0
    assert Path("net.svg").read_text().startswith("<svg")


REFUSED = {
    "another kind": ("--picture net.png", 1, "net.png would be a .svg file"),
    "no folder": ("--picture gone/net.svg", 1, "there is no folder gone"),
    "a folder": ("--picture .", 1, "is a folder"),
    "in the way": ("--picture there.svg", 1, "there.svg exists; choose another name, or pass --overwrite"),
    "no forward pass": ("--picture net.svg --engine torch-pruning", 1, "the torch-pruning engine doesn't say"),
    "no such engine": ("--engine onnx", 2, "unknown engine 'onnx'; known: elastic, torch-pruning"),
    "a pattern of nothing": ("--freeze layer9", 2, "no module's name matches 'layer9'"),
}


@pytest.mark.parametrize(("options", "code", "why"), REFUSED.values(), ids=REFUSED)
def test_doctor_refuses(refused, tmp_path, options, code, why):
    (tmp_path / "there.svg").write_text("mine")
    assert why in refused(f"doctor {NETWORK} {options}", code=code)


def test_prune_keeps_the_engine_in_the_recipe(net, elastic):
    command = f"prune {NETWORK} --weights weights.safetensors --target macs=50% -o new.safetensors"
    assert elastic(f"{command} --engine torch-pruning").code == 0
    assert elastic("info new.safetensors --json").json["recipe"]["engine"] == "torch-pruning"


def test_the_picture_in_the_docs_is_what_the_command_beside_it_draws(elastic):
    assert elastic("doctor torchvision/resnet18 --picture doctor.svg").code == 0
    assert Path("doctor.svg").read_bytes() == (DOCS / "doctor.svg").read_bytes()
