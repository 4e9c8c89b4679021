"""What can't be done: one line that says why and what to do, exit 1 or 2, and nothing in the folder changes."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from elastic.errors import PathError
from tests.cli.command_line import NETWORK, run

PRUNE = f"prune {NETWORK} --weights weights.safetensors --target macs=50% -o new.safetensors"


def changed(command, **options):
    """Return a command line with options replaced, added, or left out where they are None."""
    words = command.split()
    for name, value in options.items():
        option = "-o" if name == "o" else "--" + name.replace("_", "-")
        if option in words:
            place = words.index(option)
            del words[place : place + 2]
        words += [] if value is None else [option] if value is True else [option, value]
    return words


MISUSES = {
    "no such command": ("shrink net.safetensors", "No such command 'shrink'; see `elastic --help`"),
    "no model": ("prune", "Missing argument 'model'; see `elastic prune --help`"),
    "no target": (f"prune {NETWORK} -o new.safetensors", "Missing option '--target'"),
    "no output": (f"prune {NETWORK} --target macs=50%", "Missing option '--output'"),
    "no such option": ("info net.safetensors --color", "No such option: --color"),
    "too many arguments": ("info net.safetensors weights.safetensors", "unexpected extra argument"),
    "no value": ("info net.safetensors --json --level", "No such option: --level"),
    "not a whole number": ("eval net.safetensors --data digits --batch many", "Invalid value for '--batch'"),
    "no images": ("eval net.safetensors --data digits --limit 0", "Invalid value for '--limit'"),
    "empty batch": ("eval net.safetensors --data digits --batch 0", "Invalid value for '--batch'"),
    "no epochs": ("demo --epochs 0", "Invalid value for '--epochs'"),
    "no classes": (f"doctor {NETWORK} --num-classes 0", "Invalid value for '--num-classes'"),
    "no pixels": (f"doctor {NETWORK} --size 0", "Invalid value for '--size'"),
}


@pytest.mark.parametrize(("command", "why"), MISUSES.values(), ids=MISUSES)
def test_misuse_is_one_line_that_leads_to_help(net, refused, command, why):
    assert why in refused(command, code=2)


BAD_OPTIONS = {
    "round to nothing": ({"round_to": "0"}, 2, "Invalid value for '--round-to'"),
    "round to less": ({"round_to": "-8"}, 2, "Invalid value for '--round-to'"),
    "keep nan": ({"keep_at_least": "nan"}, 2, "nan is not a number above 0"),
    "keep nothing": ({"keep_at_least": "0"}, 2, "0.0 is not a number above 0"),
    "keep less": ({"keep_at_least": "-1"}, 2, "-1.0 is not a number above 0"),
    "keep infinity": ({"keep_at_least": "inf"}, 2, "inf is not a number above 0"),
    "keep too much": ({"keep_at_least": "1000"}, 1, "cannot be reached: the least this model can keep is 100.0%"),
    "seed below zero": ({"seed": "-1"}, 2, "Invalid value for '--seed'"),
    "no share of macs": ({"target": "macs=0%"}, 1, "more than 0 and at most 100"),
    "too large a share": ({"target": "macs=101%"}, 1, "more than 0 and at most 100"),
    "target nan": ({"target": "macs=nan"}, 1, "can't read 'nan'"),
    "target below zero": ({"target": "macs=-5%"}, 1, "can't read '-5%'"),
    "target of endless digits": ({"target": "macs=" + "9" * 400 + "%"}, 1, "can't read"),
    "no amount": ({"target": "macs"}, 1, "can't read the target 'macs'"),
    "nothing asked": ({"target": ""}, 1, "can't read the target ''"),
    "unknown quantity": ({"target": "flops=50%"}, 1, "write one of macs, params, size"),
    "unknown unit": ({"target": "size=3parsecs"}, 1, "can't read '3parsecs'"),
    "one quantity twice": ({"target": "macs=50%,macs=40%"}, 1, "limits one quantity twice"),
    "out of reach": ({"target": "params=10"}, 1, "cannot be reached: the least this model can keep is 0.1% (103 of"),
    "size out of reach": ({"target": "size=1kB"}, 1, "cannot be reached"),
    "unknown criterion": ({"criterion": "taylr"}, 2, "unknown criterion 'taylr'; known: magnitude"),
    "unknown scope": ({"scope": "local"}, 2, "unknown scope 'local'; known: global, uniform, isomorphic"),
    "unknown normalisation": ({"normalisation": "l2"}, 2, "unknown normalisation 'l2'; known: none, mean, max"),
    "unknown quantity to save": ({"per": "flops"}, 2, "unknown per='flops'; known: unit, macs, params, size"),
    "share of nothing": ({"share": "layer9*=0.5"}, 2, "no group's name matches 'layer9*'; there are"),
    "share that is none": ({"share": "layer1*"}, 2, "can't read --share 'layer1*'; write PATTERN=SHARE"),
    "share of letters": ({"share": "layer1*=half"}, 2, "can't read --share 'layer1*=half'"),
    "share of all": ({"share": "layer1*=1"}, 2, "0 to below 1"),
    "share nan": ({"share": "layer1*=nan"}, 2, "0 to below 1"),
    "shares and a scope": ({"share": "layer1*=0.5", "scope": "uniform"}, 2, "--share and --scope uniform"),
    "shares too small": ({"share": "*=0.1"}, 1, "cannot be reached with these shares by name"),
    "unknown engine": ({"engine": "fx"}, 2, "unknown engine 'fx'; known: elastic, torch-pruning"),
    "nothing of that name": ({"freeze": "layer9.*"}, 2, "layer9"),
    "unknown data": ({"data": "cifar11"}, 2, "unknown data set 'cifar11'; did you mean 'cifar10'"),
    "no data folder": ({"data": "cifar10:nowhere"}, 1, "nowhere"),
    "an empty data folder": ({"data": "cifar10:."}, 1, "cifar"),
    "data function not there": ({"data": "nowhere.at_all:images"}, 2, "there is no module 'nowhere'"),
    "no weights": ({"weights": None}, 2, "no weights were given; pass --weights FILE, or --untrained"),
    "weights and none": ({"untrained": True}, 2, "--weights and --untrained were given both"),
    "weights missing": ({"weights": "gone.safetensors"}, 1, "there is no file gone.safetensors"),
    "weights of no known kind": ({"weights": "weights.h5"}, 1, "not from '.h5'"),
    "weights are a folder": ({"weights": "."}, 1, "weights are read from"),
    "weights are an elastic file": ({"weights": "net.safetensors"}, 1, "is an elastic file; `elastic rebuild`"),
    "more classes": ({"num_classes": "11"}, 1, "fc.weight has shape [10, 64], the model wants [11, 64]"),
    "two means": ({"mean": "0.5,0.5"}, 1, "1 channels, but 2 means"),
    "means of letters": ({"mean": "a,b"}, 2, "can't read --mean 'a,b'"),
    "mean nan": ({"mean": "nan"}, 1, "mean"),
    "no deviation": ({"std": "0"}, 1, "std"),
    "image of a city": ({"size": "99999"}, 1, "size"),
    "output missing its folder": ({"o": "gone/new.safetensors"}, 1, "there is no folder gone to write new.safetensors"),
    "output in a file": ({"o": "net.safetensors/new.safetensors"}, 1, "there is no folder net.safetensors"),
    "output is a folder": ({"o": "."}, 1, "is a folder"),
    "output exists": ({"o": "net.safetensors"}, 1, "net.safetensors exists; choose another name, or pass --overwrite"),
    "output of another kind": ({"o": "new.pt"}, 1, "new.pt would be a .safetensors file"),
}


@pytest.mark.parametrize(("options", "code", "why"), BAD_OPTIONS.values(), ids=BAD_OPTIONS)
def test_prune_refuses(net, refused, options, code, why):
    assert why in refused(*changed(PRUNE, **options), code=code)


UNKNOWN_MODELS = {
    "near miss": ("elastic/resnet57", "close: elastic/resnet56"),
    "no family": ("resnet56", "elastic/resnet56"),
    "torchvision's": ("torchvision/resnet51", "torchvision/resnet50"),
    "a module that is not there": ("nowhere:thing", "there is no module 'nowhere'"),
    "an attribute that is not there": ("json:thing", "holds no callable 'thing'"),
    "no module's name": ("../evil:thing", "does not read as package.module:function"),
    "not a network": ("builtins:dict", "returned a dict, not a torch.nn.Module"),
    "nothing": ("", "unknown model ''"),
}


@pytest.mark.parametrize(("name", "why"), UNKNOWN_MODELS.values(), ids=UNKNOWN_MODELS)
def test_an_unknown_model_is_refused(net, refused, name, why):
    command = ["prune", name, "--untrained", "--size", "8", "--target", "macs=50%", "-o", "new.safetensors"]
    assert why in refused(*command, code=2)


ON_FILES = {
    "level not there": ("rebuild net.safetensors --level macs=10% -o w.safetensors", 2, "macs=25%, macs=50%, full"),
    "level beyond": ("rebuild net.safetensors --level 3 -o w.safetensors", 2, "no level 3"),
    "level of eval": ("eval net.safetensors --level 3 --data digits", 2, "no level 3"),
    "level of export": ("export net.safetensors --level 3 -o x.onnx", 2, "no level 3"),
    "format": ("export net.safetensors --to tflite -o x.onnx", 2, "unknown format 'tflite'; known: state-dict, onnx"),
    "format of verify": ("verify net.safetensors --to tflite", 2, "unknown format 'tflite'"),
    "suffix of another format": ("export net.safetensors --to onnx -o x.pt2", 1, "x.pt2 would be a .onnx file"),
    "weights of a file": ("eval net.safetensors --data digits --weights weights.safetensors", 2, "leave out --weights"),
    "mean beside a file": ("eval net.safetensors --mean 0 --std 1 --data digits", 2, "leave out --mean, --std"),
    "model without weights": ("eval elastic/digits_resnet --data digits", 2, "needs --weights"),
    "level of a model": (f"eval {NETWORK} --weights weights.safetensors --level 0 --data digits", 2, "no --level"),
    "data that aren't images": ("eval net.safetensors --data json:dumps", 1, "dumps"),
    "digits from a folder": ("eval net.safetensors --data digits:.", 1, "take no folder"),
    "another model for a file": ("export net.safetensors --model elastic/alexnet -o x.onnx", 1, "features.0.weight"),
    "output exists": ("rebuild net.safetensors -o weights.safetensors", 1, "weights.safetensors exists"),
    "export exists": ("export net.safetensors --to state-dict -o weights.safetensors", 1, "weights.safetensors exists"),
    "rebuild of another kind": ("rebuild net.safetensors -o whole.pt", 1, "whole.pt would be a .safetensors file"),
    "against nothing": ("verify net.safetensors --to state-dict --against gone.safetensors", 1, "no file gone"),
    "demo into a file": ("demo -o net.safetensors", 1, "net.safetensors"),
}  # fmt: skip


@pytest.mark.parametrize(("command", "code", "why"), ON_FILES.values(), ids=ON_FILES)
def test_a_command_on_a_file_refuses(net, refused, command, code, why):
    assert why in refused(command, code=code)


def test_rebuild_refuses_to_replace_preprocessing_that_lies_there(net, refused):
    Path("w.json").write_text("{}")
    assert "w.json exists" in refused("rebuild net.safetensors -o w.safetensors")


@pytest.mark.parametrize("name", ["digits.safetensors", "levels.png", "digits-2.onnx"])
def test_demo_refuses_before_it_trains_to_replace_what_is_there(net, refused, name):
    Path(name).write_text("mine")
    assert f"{name} exists" in refused("demo -o .")


def test_rebuild_refuses_if_the_original_differs_in_one_bit(net, refused):
    state = load_file("weights.safetensors")
    state["fc.bias"].view(torch.int32)[3] ^= 1
    save_file(state, "other.safetensors")
    assert refused("rebuild net.safetensors -o w.safetensors --against other.safetensors") == (
        "fc.bias differs from the original"
    )


def test_weights_that_are_no_numbers_are_refused(net, refused):
    state = load_file("weights.safetensors")
    state["layer1.0.conv1.weight"][0, 0] = torch.nan
    save_file(state, "nan.safetensors")
    assert "layer1.0.conv1.weight holds 9 values" in refused(*changed(PRUNE, weights="nan.safetensors"))


def test_weights_of_another_model_are_refused(net, refused):
    save_file({"features.weight": torch.zeros(3)}, "other.safetensors")
    assert "is not one of this model" in refused(*changed(PRUNE, weights="other.safetensors"))


class Trap:
    def __reduce__(self):
        return Path.touch, (Path("sprung"),)


@pytest.mark.parametrize("suffix", ["pt", "pth"])
def test_pickled_code_is_refused_and_not_run(net, refused, suffix):
    torch.save({"state_dict": {"conv1.weight": Trap()}}, f"trap.{suffix}")
    assert "pickled code, which is not run" in refused(*changed(PRUNE, weights=f"trap.{suffix}"))
    assert not Path("sprung").exists()


@pytest.mark.parametrize("text", ["{", "[]", '{"input": 3}', '{"input": {"mean": [0, 0]}}', '{"input": {"code": "x"}}'])
def test_preprocessing_beside_the_weights_that_can_not_be_read_is_refused(net, refused, text):
    Path("weights.json").write_text(text)
    assert refused(PRUNE)


def test_own_model_without_its_input_size_is_refused(net, refused):
    Path("stall.py").write_text("from torch import nn\ndef make():\n    return nn.Conv2d(3, 4, 3)\n")
    assert "give --size" in refused("doctor stall:make", code=2)


def test_a_network_in_which_nothing_can_leave_is_refused_with_the_reason(net, refused):
    Path("bare.py").write_text("from torch import nn\ndef make():\n    return nn.Conv2d(3, 4, 3)\n")
    why = refused("prune bare:make --untrained --size 8 --target macs=50% -o new.safetensors")
    assert why.startswith("nothing in Conv2d can be pruned: ")
    assert "it is the network's output" in why


def test_overwrite_keeps_the_old_file_when_the_command_fails(net, refused):
    refused(*changed(PRUNE, o="net.safetensors", overwrite=True, target="params=10"))


def test_what_a_user_s_own_code_raises_is_one_line(net, refused):
    Path("broken.py").write_text("def make():\n    raise RuntimeError('first line\\nsecond line')\n")
    assert refused("doctor broken:make --size 8") == (
        "RuntimeError: first line second line (elastic --debug shows where)"
    )


def test_debug_shows_the_traceback(elastic):
    with pytest.raises(PathError, match=r"gone\.safetensors is missing"):
        run("--debug info gone.safetensors")


def test_labels_that_the_network_has_no_output_for_are_refused(net, elastic, tmp_path):
    Path("many.py").write_text(
        "import torch\ndef images(train, transform):\n    return [(torch.zeros(1, 8, 8), 10)] * 4\n"
    )
    done = elastic("eval net.safetensors --data many:images")
    assert done.code == 1
    assert "a label is 10, but the network has 10 outputs" in done.err


def test_json_beside_the_weights_is_used_and_kept_in_the_file(net, elastic):
    Path("weights.json").write_text(json.dumps({"input": {"mean": [0.25], "std": [0.5]}}))
    elastic(PRUNE)
    kept = elastic("info new.safetensors --json").json["input"]
    assert (kept["mean"], kept["std"]) == ([0.25], [0.5])


def test_a_folder_without_the_file_is_no_trap(net, refused):
    shutil.copytree(".", "copy")
    assert "copy is not a file" in refused("info copy")
