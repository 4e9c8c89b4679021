"""`elastic sensitivity`, then `elastic prune --curves`: measured once, used for any target."""

from pathlib import Path

import pytest

from elastic.sensitivity import read_curves
from tests.cli.command_line import NETWORK

MEASURE = f"sensitivity {NETWORK} --weights weights.safetensors --data digits --calibration 20 -o curves.jsonl"
PRUNE = f"prune {NETWORK} --weights weights.safetensors --curves curves.jsonl -o out.safetensors --overwrite"


@pytest.fixture
def measured(net, elastic):
    assert elastic(f"{MEASURE} --criterion energy --widths 0.5,0.25").code == 0
    return Path("curves.jsonl")


def test_the_table_has_a_loss_for_each_group_and_share(net, elastic):
    head, *rows, summary = elastic(f"{MEASURE} --widths 0.5").out.splitlines()
    assert head.split() == ["group", "units", "0.5", "1", "unit"]
    assert len(rows) == 6
    assert all(float(cell) >= 0 for row in rows for cell in row.split()[1:])
    assert summary == "curves.jsonl: losses in nats with one group at these shares, on 20 images"


def test_json_says_what_the_file_holds(net, elastic):
    done = elastic(f"{MEASURE} --criterion energy --widths 0.5 --json").json
    curves = read_curves("curves.jsonl")
    assert [group["group"] for group in done["groups"]] == list(curves.names)
    assert done["groups"][0]["losses"] == {str(width): loss for width, loss in curves.losses[0].items()}
    assert (done["images"], done["criterion"], done["recover"]) == (20, "energy", False)


def test_it_goes_on_where_it_stopped(measured, elastic):
    whole = measured.read_bytes()
    measured.write_bytes(whole[:-30])
    assert "measuring losses: 18 of 18" in elastic(f"{MEASURE} --criterion energy --widths 0.5,0.25").err
    assert measured.read_bytes() == whole


def test_losses_after_a_repair_are_others(measured, elastic):
    before = read_curves(measured).losses
    measured.unlink()
    assert elastic(f"{MEASURE} --criterion energy --widths 0.5,0.25 --recover").code == 0
    assert read_curves(measured).losses != before


@pytest.mark.parametrize("target", ["macs=50%", "params=30%"])
def test_one_file_serves_every_target(measured, elastic, target):
    done = elastic(f"{PRUNE} --target {target} --keep-at-least 2 --json").json
    smallest, whole = done["levels"]
    quantity, share = target.removesuffix("%").split("=")
    assert smallest[quantity] <= float(share) / 100 * whole[quantity]
    assert smallest["masked_equals_cut"] < 1e-5
    assert elastic("verify out.safetensors --against weights.safetensors").code == 0


def test_the_recipe_says_which_curves_they_were(measured, elastic):
    elastic(f"{PRUNE} --target macs=50% --recover --data digits --calibration 16 --limit 20")
    recipe = elastic("info out.safetensors --json").json["recipe"]
    header = read_curves(measured).header
    assert (recipe["criterion"], recipe["recovered_on"], recipe["targets"]) == ("energy", 16, ["macs=50%"])
    assert recipe["curves"] == {
        "weights": header.weights, "plan": header.plan, "inputs": header.inputs, "samples": 20, "loss": "kl",
        "recover": False,
    }  # fmt: skip
    assert not {"normalisation", "scope", "per", "reduction"} & set(recipe)


OTHERWISE = {
    "another criterion": (f"{MEASURE} --widths 0.5,0.25", 1, "curves.jsonl was measured with another criterion"),
    "more images": (f"{MEASURE} --criterion energy --widths 0.5,0.25 --calibration 30", 1, "with other inputs"),
    "other widths": (f"{MEASURE} --criterion energy --widths 0.5", 1, "with other widths"),
    "widths of letters": (f"{MEASURE} --widths half", 2, "can't read --widths 'half'"),
    "a width of all": (f"{MEASURE} --widths 0.5,1", 2, "can't read --widths '0.5,1'"),
    "a file of another kind": (f"{MEASURE} -o curves.json", 1, "curves.json would be a .jsonl file"),
    "an unknown criterion": (f"{MEASURE} --criterion taylr", 2, "unknown criterion 'taylr'"),
}


@pytest.mark.parametrize(("command", "code", "why"), OTHERWISE.values(), ids=OTHERWISE)
def test_what_can_not_be_measured_is_refused(measured, refused, command, code, why):
    assert why in refused(command, code=code)


IDLE = {
    "criterion": ("--criterion lamp", "criterion='lamp' means nothing with curves"),
    "normalisation": ("--normalisation none", "normalisation='none' means nothing with curves"),
    "scope": ("--scope uniform", "scope='uniform' means nothing with curves"),
    "share": ("--share layer1*=0.5", "scope={'layer1*': 0.5} means nothing with curves"),
    "per": ("--per macs", "per='macs' means nothing with curves"),
    "reduction": ("--reduction max", "reduction='max' means nothing with curves"),
    "hessian": ("--hessian hutchinson", "hessian='hutchinson' means nothing with curves"),
}


@pytest.mark.parametrize(("option", "why"), IDLE.values(), ids=IDLE)
def test_options_that_curves_make_idle_are_refused(measured, refused, option, why):
    assert why in refused(f"{PRUNE} --target macs=50% {option}", code=2)


UNFIT = {
    "out of reach": ("--target params=10", "cannot be reached"),
    "frozen since": ("--target macs=50% --freeze conv1*", "freeze the same"),
    "no file": ("--target macs=50% --curves gone.jsonl", "can't read gone.jsonl"),
    "no curves": ("--target macs=50% --curves net.safetensors", "net.safetensors is no file of curves"),
}


@pytest.mark.parametrize(("options", "why"), UNFIT.values(), ids=UNFIT)
def test_curves_that_do_not_fit_are_refused(measured, refused, options, why):
    assert why in refused(f"{PRUNE} {options}")
