"""What prune's options do, and networks and data of the user's own."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import elastic as toolkit
from elastic.metadata import read_axes
from tests.cli.command_line import NETWORK

PRUNE = ["prune", NETWORK, "--weights", "weights.safetensors", "-o", "new.safetensors", "--json"]

OWN = """
import torch
from torch import nn

class Shop(nn.Module):
    def __init__(self, num_classes=4):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 12, 3), nn.BatchNorm2d(12), nn.ReLU(), nn.Conv2d(12, 20, 3), nn.ReLU())
        self.head = nn.Linear(20, num_classes)

    def forward(self, x):
        return self.head(self.body(x).mean((2, 3)))

def images(train, transform):
    generator = torch.Generator().manual_seed(0)
    return [(torch.rand(3, 10, 10, generator=generator), number % 4) for number in range(20)]
"""


def pruned(elastic, *options):
    return elastic(*PRUNE, *options).json["levels"]


@pytest.mark.parametrize("text", ["50%", "300k", "0.3M", "299999"])
def test_macs_are_never_more_than_was_asked_and_barely_less(net, elastic, text):
    small, full = pruned(elastic, "--target", f"macs={text}")
    most = {"50%": full["macs"] // 2, "299999": 299_999}.get(text, 300_000)
    assert most - 0.005 * full["macs"] < small["macs"] <= most


@pytest.mark.parametrize("text", ["30%", "20k"])
def test_params_are_never_more_than_was_asked_and_barely_less(net, elastic, text):
    small, full = pruned(elastic, "--target", f"params={text}")
    most = {"30%": 0.3 * full["params"]}.get(text, 20_000)
    assert most - 0.005 * full["params"] < small["params"] <= most


@pytest.mark.parametrize("text", ["100kB", "100KiB", "0.1MB", "40%"])
def test_size_is_that_of_the_file_on_disk(net, elastic, text):
    small, full = pruned(elastic, "--target", f"size={text}")
    elastic("rebuild new.safetensors --level 0 -o small.safetensors")
    most = {"40%": 0.4 * full["bytes"], "100KiB": 102_400}.get(text, 100_000)
    assert most - 0.01 * full["bytes"] < small["bytes"] <= most
    assert Path("small.safetensors").stat().st_size == small["bytes"]


def test_limits_with_commas_hold_all_at_once(net, elastic):
    small, full = pruned(elastic, "--target", "macs=60%, params=20k, size=150kB")
    assert small["macs"] <= 0.6 * full["macs"]
    assert small["params"] <= 20_000
    assert small["bytes"] <= 150_000


def test_levels_are_named_after_the_targets_that_they_keep(net, elastic):
    first, second, full = pruned(elastic, "--target", "params=30%", "--target", "macs=35%")
    by_name = {level["level"]: level for level in (first, second)}
    assert by_name["macs=35%"]["macs"] <= 0.35 * full["macs"]
    assert by_name["params=30%"]["params"] <= 0.3 * full["params"]


def test_levels_come_smallest_first_however_they_were_asked_for(net, elastic):
    targets = [word for share in (60, 20, 40) for word in ("--target", f"macs={share}%")]
    levels = pruned(elastic, *targets)
    assert [level["level"] for level in levels] == ["macs=20%", "macs=40%", "macs=60%", "full"]
    assert sorted(level["macs"] for level in levels) == [level["macs"] for level in levels]


def test_a_target_given_twice_is_one_that_is_kept_twice(net, elastic):
    levels = pruned(elastic, "--target", "macs=50%", "--target", "macs=50%")
    assert len({level["level"] for level in levels}) == len(levels)
    assert all(level["share_of_macs"] <= 0.5 for level in levels[:-1])


def widths(path="new.safetensors"):
    return [len(axes[0]) - int(axes[0].sum()) for axes in read_axes(path).values() if 0 in axes]


def test_round_to_keeps_multiples(net, elastic):
    pruned(elastic, "--target", "macs=40%", "--round-to", "8")
    assert {width % 8 for width in widths()} == {0}


def test_keep_at_least_keeps_so_many_channels(net, elastic):
    pruned(elastic, "--target", "macs=25%", "--keep-at-least", "6")
    assert min(widths()) >= 6


def test_keep_at_least_below_one_is_a_share(net, elastic):
    pruned(elastic, "--target", "macs=50%", "--keep-at-least", "0.5")
    whole = [len(axes[0]) for axes in read_axes("new.safetensors").values() if 0 in axes]
    assert all(width >= total / 2 for width, total in zip(widths(), whole, strict=True))


def test_frozen_layers_keep_their_width(net, elastic):
    pruned(elastic, "--target", "macs=50%", "--freeze", "layer1.*", "--freeze", "layer3.0.conv2")
    elastic("rebuild new.safetensors --level 0 -o small.safetensors")
    small = load_file("small.safetensors")
    assert small["layer1.0.conv1.weight"].shape[0] == 16
    assert small["layer3.0.conv2.weight"].shape[0] == 64
    assert small["layer3.0.conv1.weight"].shape[0] < 64


@pytest.mark.parametrize("scope", ["global", "uniform", "isomorphic"])
@pytest.mark.parametrize("criterion", ["magnitude", "magnitude-l1", "random"])
def test_every_criterion_and_scope_reaches_the_target(net, elastic, criterion, scope):
    small, _ = pruned(elastic, "--target", "macs=50%", "--criterion", criterion, "--scope", scope)
    assert 0.495 < small["share_of_macs"] <= 0.5


@pytest.mark.parametrize("normalisation", ["none", "mean", "max", "gaussian"])
@pytest.mark.parametrize("per", ["macs", "params", "size"])
def test_every_normalisation_and_saving_reaches_the_target(net, elastic, normalisation, per):
    small, _ = pruned(elastic, "--target", "macs=50%", "--normalisation", normalisation, "--per", per)
    assert 0.49 < small["share_of_macs"] <= 0.5


def test_shares_by_name_fix_widths_and_the_rest_reaches_the_target(net, elastic):
    shares = ["--share", "layer1.0.conv1=0.5", "--share", "layer3.*=0.25"]
    small, _ = pruned(elastic, "--target", "macs=50%", *shares)
    elastic("rebuild new.safetensors --level 0 -o small.safetensors")
    state = load_file("small.safetensors")
    assert [state[f"{name}.weight"].shape[0] for name in ("layer1.0.conv1", "layer3.0.conv1")] == [8, 48]
    assert 0.495 < small["share_of_macs"] <= 0.5


def test_the_file_says_how_units_competed(net, elastic):
    pruned(elastic, "--target", "macs=50%", "--share", "layer1.*=0.5", "--per", "params", "--normalisation", "max")
    recipe = elastic("info new.safetensors --json").json["recipe"]
    assert (recipe["scope"], recipe["per"], recipe["normalisation"]) == ({"layer1.*": 0.5}, "params", "max")


def test_the_seed_decides_what_is_random(net, elastic):
    files = []
    for seed in (0, 0, 1):
        pruned(elastic, "--target", "macs=50%", "--criterion", "random", "--seed", str(seed), "--overwrite")
        files.append([axes.get(0, axes[max(axes)]).tobytes() for axes in read_axes("new.safetensors").values()])
    assert files[0] == files[1] != files[2]


def test_an_untrained_network_is_the_same_for_the_same_seed(elastic):
    for name in ("a", "b"):
        command = f"prune {NETWORK} --untrained --seed 3 --target macs=50% -o {name}.safetensors"
        assert elastic(command).code == 0
    assert Path("a.safetensors").read_bytes() == Path("b.safetensors").read_bytes()


@pytest.mark.parametrize("level", ["0", "smallest", "macs=25%"])
def test_a_level_goes_by_number_and_by_name(net, elastic, level):
    assert elastic("rebuild", net, "--level", level, "-o", "w.safetensors", "--json").json["level"] == "macs=25%"


@pytest.mark.parametrize("level", ["2", "largest", "full", None])
def test_the_largest_level_is_what_you_get_unasked(net, elastic, level):
    asked = [] if level is None else ["--level", level]
    assert elastic("rebuild", net, *asked, "-o", "w.safetensors", "--json").json["level"] == "full"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64], ids=str)
def test_weights_of_other_precision_come_back_bit_for_bit(net, elastic, dtype):
    state = load_file("weights.safetensors")
    save_file({n: t.to(dtype) if t.is_floating_point() else t for n, t in state.items()}, "other.safetensors")
    done = elastic(f"prune {NETWORK} --weights other.safetensors --target macs=50% --data digits -o n.safetensors")
    assert done.code == 0, done.err
    assert "bit for bit" in elastic("rebuild n.safetensors -o w.safetensors --against other.safetensors").out
    assert elastic("verify n.safetensors --to torch-export --against other.safetensors").code == 0
    assert elastic("eval n.safetensors --data digits").code == 0


def test_weights_of_torch_save_will_do(net, elastic):
    state = {f"module.{name}": tensor for name, tensor in load_file("weights.safetensors").items()}
    torch.save({"state_dict": state}, "weights.pth")
    assert elastic(f"prune {NETWORK} --weights weights.pth --target macs=50% -o n.safetensors").code == 0
    assert elastic("rebuild n.safetensors -o w.safetensors --against weights.pth").code == 0


def test_mean_and_deviation_are_kept_in_the_file(net, elastic):
    pruned(elastic, "--target", "macs=50%", "--mean", "0.1", "--std", "0.2")
    kept = elastic("info new.safetensors --json").json["input"]
    assert (kept["mean"], kept["std"]) == ([0.1], [0.2])


def test_the_size_of_images_decides_the_macs(net, elastic):
    _, small = pruned(elastic, "--target", "macs=50%")
    _, large = pruned(elastic, "--target", "macs=50%", "--size", "16", "--overwrite")
    assert 3.9 < large["macs"] / small["macs"] < 4


def test_a_torchvision_network_with_other_classes_is_built_again_from_the_file(elastic):
    command = "prune torchvision/squeezenet1_1 --untrained --num-classes 7 --size 64 --target macs=30% -o n.safetensors"
    assert elastic(command).code == 0
    assert toolkit.load("n.safetensors", 0)(torch.zeros(1, 3, 64, 64)).shape == (1, 7)


@pytest.fixture
def corner(elastic):
    """A network and data of the user's own, in the current folder."""
    Path("corner.py").write_text(OWN)
    command = "prune corner:Shop --untrained --size 10 --data corner:images --target macs=50%"
    command += " -o corner.safetensors --json"
    assert elastic(command).json["levels"][0]["images"] == 20
    return elastic


def test_a_network_of_the_user_s_own_is_pruned_and_evaluated(corner):
    done = corner("eval corner.safetensors --model corner:Shop --data corner:images --level 0 --json").json
    assert done["images"] == 20


def test_a_network_of_the_user_s_own_is_exported(corner):
    assert corner("export corner.safetensors --model corner:Shop --level 0 -o corner.onnx").code == 0


def test_a_network_of_the_user_s_own_is_verified(corner):
    assert corner("verify corner.safetensors --model corner:Shop --to torch-export").code == 0


def test_a_network_of_the_user_s_own_is_rebuilt_without_its_class(corner):
    assert corner("rebuild corner.safetensors -o whole.safetensors").code == 0
    assert corner("eval corner:Shop --size 10 --weights whole.safetensors --data corner:images").code == 0


def test_a_network_of_the_user_s_own_takes_other_classes(elastic):
    Path("corner.py").write_text(OWN)
    command = "prune corner:Shop --untrained --num-classes 6 --size 10 --target macs=50% -o corner.safetensors"
    assert elastic(command).code == 0
    assert elastic("rebuild corner.safetensors -o whole.safetensors").code == 0
    assert load_file("whole.safetensors")["head.weight"].shape == (6, 20)
    assert elastic("export corner.safetensors --model corner:Shop --to torch-export -o corner.pt2").code == 0


def test_doctor_takes_a_network_of_the_user_s_own(elastic):
    Path("corner.py").write_text(OWN)
    assert elastic("doctor corner:Shop --size 10 --json").json["units"] == 32


def test_a_loss_that_is_no_number_is_null_in_json(net, elastic):
    Path("bright.py").write_text(
        "import torch\ndef images(train, transform):\n    return [(torch.full((1, 8, 8), torch.inf), 0)] * 4\n"
    )
    done = elastic("eval net.safetensors --data bright:images --json")
    assert done.json["loss"] is None
    assert "NaN" not in done.out
