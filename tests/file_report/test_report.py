"""What the page of a file says, and where it has it from."""

import pytest
import torch

import elastic
from elastic.data import Metrics
from elastic.errors import FileFormatError, OutputExists, PathError, ProofFailed
from elastic.metadata import read_header
from tests.file_report.conftest import TOP1, write_comparison, write_epochs

QUICK = {"latency": False, "proofs": False}


def part_of(report, name):
    return next(part for part in report.parts if part.name == name)


def columns(report, name):
    table = part_of(report, name)
    return dict(zip(table.heads, zip(*table.rows, strict=True), strict=True))


def titles(report):
    return [section.title for section in report.sections]


@pytest.fixture
def quick(reported, tmp_path):
    """Report a file by what it holds, with options."""

    def make(path=reported.path, **options):
        return elastic.report(path, tmp_path / "page.html", **{**QUICK, **options})

    return make


def test_sections_go_from_what_came_out_to_how(reported):
    assert titles(reported.report) == ["Levels", "Proofs", "Widths", "Frozen", "Training", "Controls"]


def test_costs_are_those_of_the_header(reported):
    found, levels = columns(reported.report, "levels"), read_header(reported.path).levels
    assert [found[head] for head in ("params", "MACs", "bytes")] == [
        tuple(getattr(level, name) for level in levels) for name in ("params", "macs", "bytes")
    ]


def test_accuracies_are_those_of_the_file_where_none_are_measured(reported):
    found = columns(reported.report, "levels")
    assert dict(zip(found["level"], found["top-1, %"], strict=True)) == TOP1


def test_accuracies_that_are_measured_stand_beside_those_of_the_file(quick):
    found = columns(quick(measure=lambda network: Metrics(200, 150, 190, 0.5)), "levels")
    assert found["top-1, %"] == (75.0,) * 3
    assert found["top-1, %, in the file"] == tuple(TOP1.values())


def test_latencies_lie_between_their_quartiles(reported):
    found = columns(reported.report, "levels")
    low, median, high = (found[head] for head in ("quartiles, ms: first", "latency, ms", "third"))
    assert all(0 < a <= b <= c for a, b, c in zip(low, median, high, strict=True))


def test_the_page_says_how_latency_was_measured(reported):
    told = reported.report.settings["measured"]
    assert (told["device"], told["threads"], told["batch"], told["input"]) == ("cpu", 1, 1, "1 × 8 × 8")
    assert told["torch"] == torch.__version__


@pytest.mark.parametrize("cost", ["bytes", "macs", "latency"])
def test_accuracy_is_drawn_against_each_cost(reported, cost):
    lines = part_of(reported.report, f"accuracy-{cost}").lines
    assert {name: top1 for name, ((_, top1),) in lines.items()} == TOP1


def test_proofs_are_made_for_every_level(reported):
    found = columns(reported.report, "proofs")
    assert found["SHA-256"] == tuple(level.digest for level in read_header(reported.path).levels)
    assert all(error < 1e-12 for error in found["masked = cut"][:-1])
    assert found["state-dict = torch"] == (0.0,) * 3


def test_widths_are_the_shapes_of_the_levels(reported):
    found = columns(reported.report, "widths")
    state = elastic.load_state(reported.path, "macs=25%")
    assert found["macs=25%"] == tuple(len(state[f"{layer}.weight"]) for layer in found["layer"])


def test_what_never_leaves_is_told_with_its_reason(reported):
    found = columns(reported.report, "frozen")
    assert sum(found["positions"]) == sum(each.positions for each in reported.plan.frozen)
    assert "output" in found["because"][0]


def test_epochs_that_lie_beside_the_file_are_drawn(reported):
    assert set(part_of(reported.report, "training").lines) == {"net", "net.0", "net.0, held out"}
    assert part_of(reported.report, "loss").lines["net.0, held out"] == [(1, 3.0), (2, 1.5), (3, 1.0)]


def test_controls_are_told_with_their_verdicts(reported):
    found = columns(reported.report, "controls-0")
    best = found["criterion"].index("magnitude"), found["allocation"].index("global")
    assert best == (0, 0)
    assert found["verdict to random"][0] == "better"
    assert found["points to uniform"][0] == pytest.approx(2.04)


def test_another_run_is_shown_when_asked_for(quick, tmp_path):
    write_epochs(tmp_path / "other.jsonl")
    assert set(part_of(quick(run=tmp_path), "training").lines) == {"other"}


def test_a_comparison_of_other_weights_says_so(quick, tmp_path):
    write_comparison(tmp_path / "runs.jsonl", "0" * 64)
    assert "other weights" in quick(run=tmp_path / "runs.jsonl").sections[-1].text


def test_a_folder_without_a_run_is_refused(quick, tmp_path):
    with pytest.raises(PathError, match="holds no epochs and no runs"):
        quick(run=tmp_path)


def test_of_a_file_that_names_no_model_what_it_holds_is_shown(reported, quick, tmp_path):
    own = tmp_path / "own.safetensors"
    plan = elastic.load_plan(reported.path)
    elastic.save(own, elastic.load(reported.path).plain(), plan.plan, plan.levels)
    assert titles(quick(own, latency=True, proofs=True)) == ["Levels", "Widths", "Frozen"]
    with pytest.raises(FileFormatError, match="doesn't say"):
        quick(own, measure=len, overwrite=True)


def test_no_page_is_written_if_a_proof_fails(reported, tmp_path):
    damaged = tmp_path / "net.safetensors"
    data = bytearray(reported.path.read_bytes())
    data[-200_000] ^= 1  # among the weights
    damaged.write_bytes(data)
    with pytest.raises(ProofFailed):
        elastic.report(damaged, tmp_path / "page.html", latency=False, to="state-dict")
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize("there", ["page.html", "files/report.html"])
def test_what_is_there_is_refused_before_any_work(quick, tmp_path, there):
    (tmp_path / "files").mkdir()
    (tmp_path / there).write_text("mine")
    with pytest.raises(OutputExists, match=there):
        quick(folder=tmp_path / "files", measure=None)
    assert (tmp_path / there).read_text() == "mine"
