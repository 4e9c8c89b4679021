"""A file is data from elsewhere: whatever it holds, a command says one line, writes nothing and imports nothing."""

import json
import random
import shutil
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.cli.command_line import contents, run

# Every command that opens an elastic file.
VERBS = {
    "info": "info {}",
    "rebuild": "rebuild {} -o new.safetensors",
    "export": "export {} --to state-dict -o new.safetensors",
    "deploy": "deploy {} --to state-dict -o new",
    "eval": "eval {} --data digits",
    "verify": "verify {} --to state-dict",
}
BUILDING = {verb: VERBS[verb] for verb in ("export", "eval", "verify")}


def noise(path):
    path.write_bytes(random.Random(0).randbytes(5000))


def empty(path):
    path.write_bytes(b"")


def text(path):
    path.write_text("weights of a network\n")


def plain(path):
    save_file({"conv1.weight": torch.zeros(16, 1, 3, 3)}, path)


def pickled(path):
    torch.save({"conv1.weight": torch.zeros(16, 1, 3, 3)}, path)


def long_header(path):
    path.write_bytes((2**62).to_bytes(8, "little") + b"{}")


def missing(path):
    pass


def folder(path):
    path.mkdir()


@pytest.mark.parametrize("make", [noise, empty, text, plain, pickled, long_header, missing, folder])
@pytest.mark.parametrize("command", VERBS.values(), ids=VERBS)
def test_what_is_no_elastic_file_is_refused(refused, tmp_path, command, make):
    make(tmp_path / "bad.safetensors")
    assert "bad.safetensors" in refused(command.format("bad.safetensors"))


@pytest.mark.parametrize("share", [0.01, 0.2, 0.6, 0.999])
@pytest.mark.parametrize("command", VERBS.values(), ids=VERBS)
def test_a_truncated_file_is_refused(net, refused, command, share):
    data = net.read_bytes()
    net.write_bytes(data[: int(len(data) * share)])
    assert "net.safetensors" in refused(command.format(net))


@pytest.mark.parametrize("verb", ["rebuild", "verify"])
def test_a_flipped_bit_of_a_weight_is_found(net, elastic, verb):
    data = bytearray(net.read_bytes())
    data[-60_000] ^= 1
    net.write_bytes(data)
    done = elastic(VERBS[verb].format(net))
    assert (done.code, done.out) == (1, "")
    assert done.err.splitlines()[-1].endswith("of level 'full' is not what was saved; fetch the file again")
    assert not Path("new.safetensors").exists()


NAMES = {
    "system": "os:system",
    "not there": "nosuch.module:thing",
    "beside it": "trap:make",
    "dotted": "trap.make",
    "parent": "elastic/../trap",
    "folder": "trap/resnet18",
    "hub": "timm/hf-hub:someone/model",
    "unknown": "torchvision/trap",
    "nothing": "",
    "number": 3,
    "list": ["elastic/resnet20"],
    "long": "x" * 100_000,
    "lines": "elastic/\nresnet20\n\x1b[31m",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("command", BUILDING.values(), ids=BUILDING)
def test_a_name_in_a_file_imports_nothing(net, tmp_path, monkeypatch, with_header, command, name):
    monkeypatch.chdir(tmp_path)
    Path("trap.py").write_text("raise SystemExit('sprung')\n")
    with_header(net, Path("bad.safetensors"), model={"name": name, "arguments": {}})
    before, modules = contents(tmp_path), {"trap", "nosuch"}
    done = run(command.format("bad.safetensors"))
    assert done.code in (1, 2)
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    assert len(done.err) < 600
    assert not modules & set(sys.modules)
    assert contents(tmp_path) == before


ARGUMENTS = {
    "endless classes": ("elastic/digits_resnet", {"num_classes": 10**12}, "num_classes=1000000000000"),
    "classes below zero": ("elastic/digits_resnet", {"num_classes": -1}, "num_classes=-1"),
    "classes nested": ("elastic/digits_resnet", {"num_classes": [[10]]}, "num_classes"),
    "fetched": ("torchvision/resnet18", {"weights": "DEFAULT"}, "takes no 'weights'"),
    "fetched backbone": ("torchvision/fcn_resnet50", {"weights_backbone": "DEFAULT"}, "takes no 'weights_backbone'"),
    "unknown": ("elastic/digits_resnet", {"trap": 1}, "trap"),
    "too many weights": ("torchvision/vit_b_16", {"image_size": 99_984}, "too small to hold the weights"),
    "too wide": ("torchvision/wide_resnet50_2", {"width_per_group": 100_000}, "width_per_group"),
}


@pytest.mark.parametrize(("name", "arguments", "why"), ARGUMENTS.values(), ids=ARGUMENTS)
def test_arguments_in_a_file_can_not_ask_for_more_than_it_holds(net, refused, with_header, name, arguments, why):
    with_header(net, Path("bad.safetensors"), model={"name": name, "arguments": arguments})
    command = "export bad.safetensors --to state-dict -o new.safetensors"
    assert why in refused(command, code=run(command).code)


def test_a_file_of_another_network_than_it_names_is_refused(net, refused, with_header):
    with_header(net, Path("bad.safetensors"), model={"name": "elastic/alexnet", "arguments": {}})
    assert "too small to hold the weights of elastic/alexnet" in refused("eval bad.safetensors --data digits")


INPUTS = {
    "a wall of pixels": {"channels": 1024, "size": 16384, "mean": [0.0] * 1024, "std": [1.0] * 1024},
    "no pixels": {"channels": 1, "size": 0, "mean": [0.0], "std": [1.0]},
    "no deviation": {"channels": 1, "size": 8, "mean": [0.0], "std": [0.0]},
    "a mean of text": {"channels": 1, "size": 8, "mean": ["__import__('os')"], "std": [1.0]},
    "an unknown field": {"channels": 1, "size": 8, "mean": [0.0], "std": [1.0], "code": "os:system"},
    "missing fields": {"size": 8},
}


@pytest.mark.parametrize("given", INPUTS.values(), ids=INPUTS)
@pytest.mark.parametrize("command", BUILDING.values(), ids=BUILDING)
def test_an_implausible_input_is_refused(net, refused, with_header, command, given):
    with_header(net, Path("bad.safetensors"), input=given)
    assert "bad.safetensors" in refused(command.format("bad.safetensors"))


PLANS = {
    "empty": {},
    "numbers": {"operations": 3, "frozen": 3, "tensors": 3},
    "no tensors": {"operations": [], "frozen": [], "tensors": {}},
    "other tensors": {"operations": [], "frozen": [], "tensors": {"x": [[1], "F32", True]}},
    "no shape": {"operations": [], "frozen": [], "tensors": {"conv1.weight": [[], "F32", True]}},
}


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_a_plan_that_can_not_be_read_is_refused(net, refused, with_header, plan):
    with_header(net, Path("bad.safetensors"), plan=plan)
    assert "save it again" in refused("verify bad.safetensors --to state-dict")


def test_labels_that_are_not_those_of_the_levels_are_refused(net, refused, with_header):
    with_header(net, Path("bad.safetensors"), axes={})
    assert refused("verify bad.safetensors --to state-dict")


def test_a_file_that_holds_no_labels_is_refused_by_verify(net, refused, tmp_path):
    import elastic
    from elastic.metadata import read_axes, read_header, read_level, write

    write(
        tmp_path / "bare.safetensors",
        read_header(tmp_path / net),
        read_level(tmp_path / net),
        read_axes(tmp_path / net),
    )
    assert elastic.load(tmp_path / "bare.safetensors", 0)
    assert "holds no labels of units" in refused("verify bare.safetensors --to state-dict")


def test_a_file_of_a_newer_version_is_refused(net, refused, with_header):
    with_header(net, Path("new.safetensors"), version=3)
    assert "newer version" in refused("info new.safetensors")


@pytest.mark.parametrize("seed", range(6))
def test_whatever_bytes_are_changed_a_command_ends_in_one_line(net, tmp_path, monkeypatch, seed):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(seed)
    good = net.read_bytes()
    for round in range(20):
        data = bytearray(good)
        length = int.from_bytes(data[:8], "little")
        for _ in range(rng.integers(1, 5)):  # most of what can go wrong is in the header
            place = rng.integers(0, 8 + length) if rng.random() < 0.8 else rng.integers(0, len(data))
            data[place] = rng.integers(0, 256)
        Path("bad.safetensors").write_bytes(data)
        before = contents(tmp_path)
        done = run([*VERBS.values()][round % 5].format("bad.safetensors"))
        assert done.code in (0, 1, 2)
        lines = [line for line in done.err.splitlines() if line.startswith("error: ")]
        assert len(lines) == (done.code != 0), done.err
        assert "Traceback" not in done.err
        if done.code != 0:
            assert contents(tmp_path) == before
        for path in ("new.safetensors", "new.json"):
            Path(path).unlink(missing_ok=True)


def test_a_refused_file_takes_no_more_memory_than_it_is_long(net, tmp_path, monkeypatch, with_header):
    monkeypatch.chdir(tmp_path)
    with_header(net, Path("bad.safetensors"), model={"name": "torchvision/vit_b_16", "arguments": {"image_size": 9984}})
    tracemalloc.start()
    run("export bad.safetensors --to state-dict -o new.safetensors")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6


def test_a_file_that_was_saved_without_its_input_is_taken_for_the_registry_s(net, elastic, with_header):
    with_header(net, Path("bare.safetensors"), input={})
    done = elastic("eval bare.safetensors --data digits --json")
    assert done.code == 0
    assert "taken to be what elastic/digits_resnet was designed for" in done.err


def test_a_file_without_its_input_is_rebuilt_without_json(net, elastic, with_header):
    with_header(net, Path("bare.safetensors"), input={})
    assert elastic("rebuild bare.safetensors -o whole.safetensors --against weights.safetensors").code == 0
    assert not Path("whole.json").exists()


def test_a_file_of_the_user_s_own_network_asks_for_it(net, refused, with_header):
    shutil.copy(net, "own.safetensors")
    with_header(net, Path("own.safetensors"), model={"name": "", "arguments": {}})
    assert "--model package.module:factory" in refused("eval own.safetensors --data digits")


def test_json_of_the_header_is_what_the_file_says(net, elastic):
    data = net.read_bytes()
    described = json.loads(json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]["elastic"])
    assert elastic(f"info {net} --json").json["recipe"] == described["recipe"]


def test_what_a_file_says_can_do_nothing_to_a_terminal(net, elastic, with_header):
    with_header(net, Path("bad.safetensors"), model={"name": "x\n\x1b[31m"}, recipe={"\x1b[2J": "\x07\n"}, input={})
    assert all(line.isprintable() for line in elastic("verify bad.safetensors").err.splitlines())
    shown = elastic("info bad.safetensors").out
    assert all(line.isprintable() for line in shown.splitlines())
    assert len(shown.splitlines()) == 6
