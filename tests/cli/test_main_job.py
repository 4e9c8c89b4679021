"""The main job on a small network: what each command does, and what it says as JSON."""

import onnxruntime
import pytest
import torch
from safetensors.torch import load_file

import elastic as toolkit
from elastic import models

LEVELS = ["macs=25%", "macs=50%", "full"]
COSTS = {"params", "macs", "bytes"}
SUFFIX = {"onnx": "onnx", "torch-export": "pt2", "state-dict": "safetensors", "sparse": "safetensors"}


def rows(text):
    """Return the words of each line of a table, by its first."""
    return {words[0]: words for words in (line.split() for line in text.splitlines()) if words}


def test_prune_writes_one_file_of_all_levels(elastic, net, tmp_path):
    done = elastic("prune elastic/digits_resnet --weights weights.safetensors --target macs=50% -o other.safetensors")
    assert done.code == 0
    assert list(rows(done.out))[:3] == ["level", "macs=50%", "full"]
    assert done.out.splitlines()[-1].startswith("other.safetensors: 2 levels in ")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "net.safetensors", "other.safetensors", "weights.safetensors"
    ]  # fmt: skip


def test_prune_says_as_json_what_every_level_costs(elastic, net):
    done = elastic(
        "prune elastic/digits_resnet --weights weights.safetensors --data digits --limit 50 --target macs=50% "
        "-o o.safetensors --json"
    ).json
    assert done.keys() == {"output", "bytes", "levels"}
    small, full = done["levels"]
    common = {"level", "share_of_macs", "top1", "images", *COSTS}
    assert small.keys() == {"masked_equals_cut", "top1_after_the_cut", *common}
    assert full.keys() == common
    assert 0.495 < small["share_of_macs"] <= 0.5
    assert small["masked_equals_cut"] < 1e-12
    assert full["images"] == 50


def test_info_says_as_json_what_the_file_holds(elastic, net):
    done = elastic(f"info {net} --json").json
    assert done.keys() == {"file", "bytes", "contract", "model", "input", "recipe", "levels"}
    assert done["bytes"] == net.stat().st_size
    assert done["contract"] == "exact"
    assert done["model"] == {"name": "elastic/digits_resnet", "arguments": {}}
    assert (done["input"]["channels"], done["input"]["size"]) == (1, 8)
    assert done["recipe"]["targets"] == ["macs=25%", "macs=50%"]
    assert [level["name"] for level in done["levels"]] == LEVELS
    assert done["levels"][0].keys() == {"name", "digest", "metrics", *COSTS}


def test_info_shows_a_line_for_each_level(elastic, net):
    done = elastic(f"info {net}")
    assert [name for name in rows(done.out) if name in LEVELS] == LEVELS
    assert "contract exact" in done.out


def test_accuracy_that_prune_measured_is_in_the_file(elastic, net):
    made = elastic(
        "prune elastic/digits_resnet --weights weights.safetensors --data digits --target macs=50% "
        "-o o.safetensors --json"
    ).json
    told = elastic("info o.safetensors --json").json
    assert [level["metrics"] for level in told["levels"]] == [{"top1": level["top1"]} for level in made["levels"]]


def test_eval_of_a_level_says_as_json_what_was_counted(elastic, net):
    done = elastic(f"eval {net} --level smallest --data digits --json").json
    assert done.keys() == {"network", "level", "data", "images", "correct", "top1", "top5", "loss"}
    assert (done["level"], done["images"]) == ("macs=25%", 360)
    assert done["top1"] == 100 * done["correct"] / 360


def test_eval_of_the_largest_level_is_that_of_the_weights(elastic, net):
    file = elastic(f"eval {net} --data digits --json").json
    weights = elastic("eval elastic/digits_resnet --weights weights.safetensors --data digits --json").json
    assert (file["correct"], file["loss"]) == (weights["correct"], weights["loss"])


def test_eval_shows_counts_beside_the_percentage(elastic, net):
    done = elastic(f"eval {net} --data digits --limit 40")
    assert done.code == 0
    assert done.out.startswith("full: top-1 ")
    assert "of 40)" in done.out


def test_rebuild_gives_back_the_weights_bit_for_bit(elastic, net):
    done = elastic(f"rebuild {net} -o whole.safetensors --against weights.safetensors")
    assert done.code == 0
    assert "bit for bit the original: 56 tensors of weights.safetensors" in done.out
    original, rebuilt = load_file("weights.safetensors"), load_file("whole.safetensors")
    assert list(original) == list(rebuilt)
    assert all(torch.equal(original[name], rebuilt[name]) for name in original)


def test_rebuild_says_as_json_what_it_wrote(elastic, net):
    done = elastic(f"rebuild {net} -o whole.safetensors --json").json
    assert done.keys() >= {"output", "level", "tensors", "bytes", "digest", "equal_to_original"}
    assert done["level"] == "full"
    assert done["digest"] == elastic(f"info {net} --json").json["levels"][-1]["digest"]
    assert done["equal_to_original"] is None


def test_what_was_rebuilt_is_evaluated_as_the_file_is(elastic, net):
    elastic(f"rebuild {net} -o whole.safetensors")
    whole = elastic("eval elastic/digits_resnet --weights whole.safetensors --data digits --json").json
    assert whole["loss"] == elastic(f"eval {net} --data digits --json").json["loss"]


def test_rebuild_of_a_smaller_level_is_what_load_gives(elastic, net):
    assert elastic(f"rebuild {net} --level macs=50% -o half.safetensors").code == 0
    loaded, rebuilt = toolkit.load(net, "macs=50%").state_dict(), load_file("half.safetensors")
    assert all(torch.equal(loaded[name], rebuilt[name]) for name in loaded)


def test_rebuild_around_a_core_says_that_it_is_a_start(elastic, net):
    tune = f"fine-tune {net} --level macs=50% --data digits --epochs 1 --no-mirror -o tuned.safetensors"
    assert elastic(tune).code == 0
    done = elastic("rebuild tuned.safetensors --core macs=50% -o start.safetensors")
    assert "a start for training, not an undo: macs=50% is inside as it is, so " in done.out
    assert "SHA-256" not in done.out
    start = load_file("start.safetensors")
    whole, core = (toolkit.load_state("tuned.safetensors", level) for level in ("full", "macs=50%"))
    assert start["fc.bias"].equal(core["fc.bias"])
    assert not start["fc.weight"].equal(whole["fc.weight"])
    assert start["fc.weight"].shape == whole["fc.weight"].shape
    assert elastic("eval elastic/digits_resnet --weights start.safetensors --data digits").code == 0


def test_rebuild_around_a_core_that_is_as_it_was_is_an_undo(elastic, net):
    done = elastic(f"rebuild {net} --core 0 -o whole.safetensors")
    assert "SHA-256 of the level" in done.out
    original, rebuilt = load_file("weights.safetensors"), load_file("whole.safetensors")
    assert all(torch.equal(original[name], rebuilt[name]) for name in original)


@pytest.mark.parametrize("to", SUFFIX)
@pytest.mark.parametrize("level", LEVELS)
def test_every_level_exports_to_every_format(elastic, net, to, level):
    done = elastic(f"export {net} --level {level} --to {to} -o out.{SUFFIX[to]} --json").json
    assert done.keys() == {"output", "level", "format", "bytes", "error"}
    assert (done["level"], done["format"]) == (level, to)
    assert done["bytes"] > 1000
    assert done["error"] < 1e-4


def test_the_exported_onnx_takes_any_batch(elastic, net):
    elastic(f"export {net} --level 0 -o small.onnx")
    images = torch.rand(5, 1, 8, 8)
    got = onnxruntime.InferenceSession("small.onnx").run(None, {"input": images.numpy()})[0]
    torch.testing.assert_close(torch.from_numpy(got), toolkit.load(net, 0)(images).detach(), rtol=1e-4, atol=1e-4)


def test_the_exported_state_dict_opens_with_safetensors_alone(elastic, net):
    elastic(f"export {net} --to state-dict -o plain.safetensors")
    models.build("elastic/digits_resnet").load_state_dict(load_file("plain.safetensors"))


def test_verify_proves_every_level(elastic, net):
    done = elastic(f"verify {net} --against weights.safetensors --to state-dict")
    assert done.code == 0
    assert "regrow = original: 56 tensors, bit for bit weights.safetensors" in done.out
    assert done.out.splitlines()[-1] == "every proof holds"


def test_verify_says_as_json_what_it_measured(elastic, net):
    done = elastic(f"verify {net} --json").json
    assert done.keys() >= {"file", "levels", "equal_to_original"}
    assert [level["level"] for level in done["levels"]] == LEVELS
    assert all(level["export_error"] < 1e-4 for level in done["levels"])
    assert all(level["masked_equals_cut"] < 1e-5 for level in done["levels"][:-1])


def test_doctor_says_as_json_what_can_leave_and_what_not(elastic):
    done = elastic("doctor elastic/digits_resnet --json").json
    assert done.keys() == {
        "model", "engine", "units", "groups", "obstacles", "frozen", "attributes", "dense", "least", "picture"
    }  # fmt: skip
    assert done["units"] == sum(group["units"] for group in done["groups"])
    assert [obstacle["reason"] for obstacle in done["obstacles"]] == ["it is the network's output"]
    assert {frozen["tensor"] for frozen in done["frozen"]} == {"fc.weight", "fc.bias"}
    assert done["dense"].keys() == done["least"].keys() == {*COSTS, "peak_bytes"}


@pytest.mark.parametrize("every", ["", "--all"], ids=["short", "all"])
def test_doctor_shows_groups_and_reasons(elastic, every):
    done = elastic(f"doctor elastic/digits_resnet {every}")
    assert done.code == 0
    assert "224 units in 6 groups" in done.out
    assert "it is the network's output" in done.out


def test_overwrite_replaces_what_was_there(elastic, net):
    elastic(f"rebuild {net} -o out.safetensors")
    assert elastic(f"rebuild {net} --level 0 -o out.safetensors --overwrite").code == 0
    assert load_file("out.safetensors")["conv1.weight"].shape[0] < 16


def test_version_is_printed(elastic):
    assert elastic("--version").out == f"elastic {toolkit.__version__}\n"


@pytest.mark.parametrize("how", ["", "--no-recover"])
def test_a_width_between_two_levels_exports(elastic, net, how):
    done = elastic(f"export {net} --target macs=40% --data digits {how} --to state-dict -o out.safetensors --json").json
    assert (done["target"], done["error"] < 1e-4) == ("macs=40%", True)
    count = sum(tensor.numel() for tensor in load_file("out.safetensors").values())
    smaller, larger = (sum(t.numel() for t in toolkit.load_state(net, level).values()) for level in LEVELS[:2])
    assert smaller < count < larger


@pytest.mark.parametrize("option", ["--data digits", "--no-recover", "--calibration 8", "--seed 3", "--download"])
def test_a_level_is_exported_without_options_of_a_target(elastic, net, option):
    done = elastic(f"export {net} {option} --to state-dict -o out.safetensors")
    assert done.code != 0
    assert f"{option.split()[0]} " in done.err
    assert "is for a --target" in done.err
