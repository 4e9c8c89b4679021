"""`elastic report`: the page of a file, by command."""

import json
from pathlib import Path

import pytest

import elastic as toolkit

QUICK = "--no-latency --no-proofs"


def test_the_json_that_is_printed_is_that_within_the_page(net, elastic):
    found = elastic(f"report {net} -o page.html --no-latency --to state-dict --json").json
    _, _, held = (
        Path("page.html").read_text(encoding="utf-8").partition('<script type="application/json" id="figures">')
    )
    assert json.loads(held.partition("</script>")[0]) == found["report"]
    assert found["bytes"] == Path("page.html").stat().st_size


def test_accuracies_are_measured_anew_with_data(net, elastic):
    report = elastic(f"report {net} -o page.html {QUICK} --data digits --limit 40 --json").json["report"]
    (levels,) = (part for part in report["sections"][0]["parts"] if part["name"] == "levels")
    assert "top-1, %" in levels["heads"]
    assert "measured now, on 40 images" in report["sections"][0]["text"]
    assert report["settings"]["data"] == "digits"


def test_a_folder_gets_tables_and_pictures(net, elastic):
    assert elastic(f"report {net} -o page.html {QUICK} --folder files").code == 0
    assert {"levels.csv", "kept.csv", "kept.svg", "kept.png", "report.json"} <= {
        p.name for p in Path("files").iterdir()
    }


def test_the_original_is_compared_with(net, elastic):
    done = elastic(f"report {net} -o page.html --no-latency --to state-dict --against weights.safetensors --json").json
    assert "Regrow = original" in done["report"]["sections"][1]["text"]


def test_a_page_that_is_there_is_refused(net, refused):
    Path("page.html").write_text("mine")
    assert "--overwrite" in refused(f"report {net} -o page.html")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ("-o page.txt", "a .html file"),
        ("-o page.html --limit 5", "--limit is of --data"),
        ("-o page.html --to wrong", "unknown format"),
        (f"-o page.html {QUICK} --run nowhere", "holds no epochs"),
    ],
)
def test_what_makes_no_sense_is_refused(net, refused, options, why):
    code = 2 if "--limit" in options or "--to" in options else 1
    assert why in refused(f"report {net} {options}", code=code)


@pytest.fixture
def own(made, tmp_path):
    """A file of a network that it doesn't name."""
    plan = toolkit.load_plan(made / "net.safetensors")
    toolkit.save(tmp_path / "own.safetensors", toolkit.load(made / "net.safetensors").plain(), plan.plan, plan.levels)


def test_a_file_that_names_no_model_is_shown_with_a_word_on_what_is_left_out(own, elastic):
    done = elastic("report own.safetensors -o page.html")
    assert done.code == 0
    assert "names no model of the registry" in done.err


def test_accuracy_of_a_file_that_names_no_model_is_refused(own, refused):
    assert "--model" in refused("report own.safetensors -o page.html --data digits", code=2)
