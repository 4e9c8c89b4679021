"""`elastic compare`: every choice beside its controls, kept in a file that goes on where it was left."""

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.command_line import NETWORK, run

COMPARE = (
    f"compare {NETWORK} --weights weights.safetensors --data digits --target macs=50% --criterion energy "
    "--allocation per-macs --calibration 32 --limit 40 --seeds 2 -o runs.jsonl"
)
CHOICE = {
    "criterion", "allocation", "seeds", "macs", "params", "cut", "recovered", "is_same_for_all_seeds",
    "against_random", "against_uniform", "is_control", "beats_controls",
}  # fmt: skip


@pytest.fixture(scope="module")
def compared(made, tmp_path_factory):
    """What a comparison without repair gave back, and its file."""
    folder = tmp_path_factory.mktemp("compared")
    shutil.copy(made / "weights.safetensors", folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        done = run(f"{COMPARE} --no-recover")
    assert done.code == 0, done.err
    return done, (folder / "runs.jsonl").read_bytes()


@pytest.fixture
def done_before(net, elastic, compared):
    """The same in the current folder, beside the network that it was made with."""
    done, runs = compared
    Path("runs.jsonl").write_bytes(runs)
    return done


def test_choices_and_controls_are_judged_after_the_repair(net, elastic):
    done = elastic(f"{COMPARE} --json").json
    assert done.keys() == {"output", "target", "recover", "settings", "runs", "images", "whole", "choices"}
    assert (done["target"], done["recover"], done["runs"], done["images"]) == ("macs=50%", True, 8, 40)
    choices = {(choice["criterion"], choice["allocation"]): choice for choice in done["choices"]}
    assert set(choices) == {(c, a) for c in ("energy", "random") for a in ("per-macs", "uniform")}
    found = choices["energy", "per-macs"]
    assert found.keys() == CHOICE
    assert found["recovered"].keys() == {"mean", "deviation", "low", "high"}
    assert found["against_random"].keys() == {"difference", "half_width", "p", "verdict"}
    assert found["macs"] <= 0.5
    assert choices["random", "uniform"]["against_uniform"] is None


def test_without_a_repair_nothing_is_said_of_one(done_before, elastic):
    done = elastic(f"{COMPARE} --no-recover --json").json
    assert [choice["recovered"] for choice in done["choices"]] == [None] * 4
    assert done_before.out.splitlines()[0].split()[4] == "top-1,"


def test_a_single_seed_has_no_spread(done_before, elastic):
    done = elastic(f"{COMPARE} --no-recover --seeds 1 --json").json
    assert {choice["cut"]["deviation"] for choice in done["choices"]} == {None}
    assert {choice["beats_controls"] for choice in done["choices"]} == {False}


def test_the_table_has_a_line_for_each_choice_and_says_how_to_read_it(compared):
    out = compared[0].out
    assert [line.split()[0] for line in out.splitlines()[1:5]].count("random") == 2
    assert "random and uniform are the controls" in out
    assert out.splitlines()[-1] == "runs.jsonl: 8 runs"


def test_the_table_is_written_as_markdown_too(done_before, elastic):
    elastic(f"{COMPARE} --no-recover --table table.md")
    lines = Path("table.md").read_text().splitlines()
    assert lines[0].startswith("macs=50%, after the cut, without repair; 2 seeds; the whole network has ")
    assert sum(line.startswith("| ") for line in lines) == 2 + 4


def test_progress_says_how_long_it_takes_still(compared):
    lines = compared[0].err.splitlines()
    assert [line.split(":")[0] for line in lines] == [f"{number} of 8" for number in range(1, 9)]
    assert lines[0].startswith("1 of 8: energy, per-macs, seed 0: ")
    assert all(line.endswith(" min left") for line in lines)


def test_the_same_command_makes_nothing_again(done_before, elastic, compared):
    again = elastic(f"{COMPARE} --no-recover")
    assert (again.out, again.err) == (done_before.out, "")
    assert Path("runs.jsonl").read_bytes() == compared[1]


def test_a_file_that_was_cut_off_is_finished(done_before, elastic, compared):
    whole = compared[1]
    Path("runs.jsonl").write_bytes(whole[: len(whole) // 2])
    assert elastic(f"{COMPARE} --no-recover").out == done_before.out
    assert Path("runs.jsonl").read_bytes() == whole


def test_the_file_names_no_folder(compared):
    header = json.loads(compared[1].splitlines()[0])
    assert header["settings"].keys() == {"data", "test images", "calibration images", "batch"}
    assert header["settings"]["data"] == "digits"


OTHERS = {
    "target": "--target macs=40%",
    "images": "--limit 41",
    "calibration": "--calibration 33",
    "batch": "--batch 20",
    "repair": "--recover",
    "input": "--mean 0.5",
}


@pytest.mark.parametrize("option", OTHERS.values(), ids=OTHERS)
def test_runs_that_were_made_otherwise_are_refused(done_before, refused, option):
    assert "runs.jsonl holds runs with " in refused(f"{COMPARE} --no-recover {option}")


BAD_OPTIONS = {
    "criterion": ("--criterion taylr", 2, "unknown criterion 'taylr'; known here: magnitude"),
    "allocation": ("--allocation local", 2, "unknown allocation 'local'; known: global"),
    "seeds": ("--seeds 0", 2, "Invalid value for '--seeds'"),
    "bound": ("--keep-at-least 0", 2, "Invalid value for '--keep-at-least'"),
    "no number": ("--keep-at-least inf", 1, "--keep-at-least inf is no width"),
    "output": ("-o runs.txt", 1, "runs.txt would be a .jsonl file"),
    "table": ("--table table.txt", 1, "table.txt would be a .md file"),
    "target": ("--target macs=lots", 1, "can't read 'lots'"),
}


@pytest.mark.parametrize(("option", "code", "why"), BAD_OPTIONS.values(), ids=BAD_OPTIONS)
def test_what_can_not_be_compared_is_refused_before_any_work(net, refused, option, code, why):
    assert why in refused(f"{COMPARE} {option}", code=code)


def test_a_table_that_is_in_the_way_stays(net, refused):
    Path("table.md").write_text("mine")
    assert "table.md exists" in refused(f"{COMPARE} --table table.md")


def test_another_file_is_not_added_to(net, refused):
    Path("runs.jsonl").write_text("mine\n")
    assert "runs.jsonl holds no runs of `elastic compare`" in refused(COMPARE)
