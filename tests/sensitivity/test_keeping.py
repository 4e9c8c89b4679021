"""The file of losses: killed at any time it goes on to the same bytes; another measurement's is refused."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

import elastic
from elastic import models
from elastic.errors import CurvesMismatch, FileFormatError, PathError
from elastic.sensitivity import measure_curves, read_curves

SCRIPT = """
import sys, time, numpy as np, torch, elastic
from elastic import models
from elastic.sensitivity import measure_curves
torch.set_num_threads(1)
torch.manual_seed(0)
model = models.build("elastic/digits_resnet")
plan = elastic.trace(model, torch.zeros(1, 1, 8, 8))
images = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
measure_curves(model, plan, np.arange(plan.units), [images], path=sys.argv[1], progress=lambda *_: time.sleep(0.1))
"""


class Killed(BaseException):
    pass


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return models.build("elastic/digits_resnet")


@pytest.fixture(scope="module")
def plan(model):
    return elastic.trace(model, torch.zeros(1, 1, 8, 8))


@pytest.fixture
def measure(model, plan):
    images = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))

    def measured(path, **changes):
        given = {"model": model, "plan": plan, "scores": np.arange(plan.units), "data": [images]} | changes
        return measure_curves(**given, path=path)

    return measured


@pytest.fixture
def whole(measure, tmp_path):
    """A file that was measured to its end."""
    path = tmp_path / "whole.jsonl"
    measure(path)
    return path


def test_a_file_gives_back_what_was_measured(measure, tmp_path):
    curves, read = measure(tmp_path / "curves.jsonl"), read_curves(tmp_path / "curves.jsonl")
    assert read.losses == curves.losses
    assert read.header == curves.header
    assert read.scores.tolist() == curves.scores.tolist()


@pytest.mark.parametrize("losses", [1, 7, 29])
def test_interrupted_and_gone_on_gives_the_same_bytes(measure, whole, tmp_path, losses):
    def interrupt(done, _):
        if done == losses:
            raise Killed

    path = tmp_path / "curves.jsonl"
    with pytest.raises(Killed):
        measure(path, progress=interrupt)
    assert len(path.read_bytes().splitlines()) == 1 + losses
    assert measure(path).losses == read_curves(whole).losses
    assert path.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("kept", [0, 1, 500, -1, -10, -60], ids=lambda kept: f"[:{kept}]")
def test_a_file_cut_off_anywhere_is_made_whole(measure, whole, tmp_path, kept):
    path = tmp_path / "curves.jsonl"
    path.write_bytes(whole.read_bytes()[:kept])
    measure(path)
    assert path.read_bytes() == whole.read_bytes()


def test_a_process_that_is_killed_leaves_what_goes_on(measure, whole, tmp_path):
    path = tmp_path / "curves.jsonl"
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, path])
    try:
        while not path.exists() or path.read_bytes().count(b"\n") < 4:
            assert process.poll() is None
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == -signal.SIGKILL
    measure(path)
    assert path.read_bytes() == whole.read_bytes()


def test_what_is_measured_is_not_measured_again(measure, whole):
    def fail(*_):
        raise AssertionError

    fail.__module__, fail.__qualname__ = "mine", "loss"
    lines = whole.read_text().replace('"loss":"kl"', '"loss":"mine.loss"', 1)
    whole.write_text(lines)
    measure(whole, loss=fail)
    assert whole.read_text() == lines


def test_a_loss_that_is_no_number_is_remembered_as_that(measure, tmp_path):
    path = tmp_path / "curves.jsonl"
    measure(path, loss=lambda *_: torch.tensor(torch.inf))
    assert json.loads(path.read_text().splitlines()[-1])["loss"] is None
    assert all(list(losses.values()) == [0.0] for losses in read_curves(path).losses)


def other_weights(model):
    torch.manual_seed(1)
    return models.build("elastic/digits_resnet")


OTHERS = {
    "weights": (lambda m: {"model": other_weights(m)}, "with other weights"),
    "plan": (lambda m: {"plan": (p := elastic.trace(m, torch.zeros(1, 1, 8, 8), freeze=["conv1*"])),
                        "scores": np.arange(p.units)}, "with other units, traced or frozen otherwise"),
    "scores": (lambda _: {"scores": np.arange(224)[::-1]}, "with other scores: 224 from 0 to 223 there"),
    "inputs": (lambda _: {"data": [torch.zeros(4, 1, 8, 8)]}, "with other inputs, or others in a batch"),
    "recover": (lambda _: {"recover": True}, "with another recover: False there, True asked for"),
    "criterion": (lambda _: {"criterion": "lamp"}, "with another criterion: '' there, 'lamp' asked for"),
    "loss": (lambda _: {"loss": elastic.sensitivity.measuring.F.mse_loss}, "another loss: 'kl' there, 'torch.nn"),
    "widths": (lambda _: {"widths": (0.9,)}, r"with other widths: \[\[12, 8, 4, 2, 1\]\] there, \[\[14, 1\]\] asked"),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "why"), OTHERS.values(), ids=OTHERS)
def test_a_file_of_another_measurement_is_refused_and_stays(model, measure, whole, changes, why):
    before = whole.read_bytes()
    with pytest.raises(CurvesMismatch, match=why):
        measure(whole, **changes(model))
    assert whole.read_bytes() == before


def line(number, text):
    """Replace one line of a file."""

    def change(path):
        lines = path.read_text().splitlines()
        lines[number] = text
        path.write_text("\n".join(lines) + "\n")

    return change


DAMAGED = {
    "somebody's text": (line(0, "dear diary,"), "is no file of curves"),
    "somebody's JSON": (line(0, '{"format": "shopping"}'), "is no file of curves: format"),
    "a later version": (line(0, '{"format": "elastic-curves", "version": 2}'), "is no file of curves: version"),
    "no JSON": (line(3, '{"group": 0'), "is damaged in line 4"),
    "no number": (line(3, '{"group": 0, "width": 8, "loss": NaN}'), "is damaged in line 4: loss"),
    "a group that isn't there": (line(3, '{"group": 99, "width": 8, "loss": 1.0}'), "a loss of group 99 at 8 units"),
    "more than a loss": (line(3, '{"group": 0, "width": 8, "loss": 1.0, "run": "x"}'), "is damaged in line 4: run"),
}


@pytest.mark.parametrize(("change", "why"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_refused_and_stays(measure, whole, change, why):
    change(whole)
    before = whole.read_bytes()
    for read in (read_curves, measure):
        with pytest.raises(FileFormatError, match=why):
            read(whole)
    assert whole.read_bytes() == before


def test_a_file_that_is_not_measured_to_its_end_is_refused(whole):
    whole.write_bytes(b"".join(whole.read_bytes().splitlines(keepends=True)[:4]))
    with pytest.raises(CurvesMismatch, match="holds 3 of 30 losses; measure into it again"):
        read_curves(whole)


@pytest.mark.parametrize("text", ["", "dear diary"], ids=["empty", "text"])
def test_reading_what_holds_no_curves_is_refused(tmp_path, text):
    (tmp_path / "curves.jsonl").write_text(text)
    with pytest.raises(FileFormatError, match="is no file of curves"):
        read_curves(tmp_path / "curves.jsonl")


def test_a_path_that_can_not_be_read_or_written_is_refused(measure, tmp_path):
    with pytest.raises(PathError, match="can't read"):
        read_curves(tmp_path / "gone.jsonl")
    with pytest.raises(PathError, match="can't write"):
        measure(tmp_path / "gone" / "curves.jsonl")
