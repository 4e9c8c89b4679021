"""What nesting refuses, and that a training of several levels goes on from any."""

import pytest
import torch

import elastic
from elastic import models
from elastic.errors import InvalidRecipe, OutputExists, UnknownName
from elastic.nesting import nest


class Killed(Exception):
    """Ends a training in the middle."""


def test_an_output_that_is_there_is_refused_before_any_work(pruned_file, few, recipe, tmp_path):
    (tmp_path / "out.safetensors").write_text("mine")
    with pytest.raises(OutputExists, match=r"out\.safetensors exists"):
        nest(pruned_file, tmp_path / "out.safetensors", few, recipe(epochs=10**6))


def test_another_way_is_refused(pruned_file, few, tmp_path):
    with pytest.raises(UnknownName, match="unknown way 'slim' to nest; known: grow, joint"):
        nest(pruned_file, tmp_path / "out.safetensors", few, way="slim")


def test_other_norms_are_refused(pruned_file, few, tmp_path):
    with pytest.raises(UnknownName, match="unknown norms 'none'; known: private, re-estimated"):
        nest(pruned_file, tmp_path / "out.safetensors", few, way="joint", norms="none")


def test_a_file_of_one_level_is_refused(few, tmp_path):
    model = models.build("elastic/digits_resnet")
    plan = elastic.trace(model, torch.zeros(1, 1, 8, 8))
    elastic.save(tmp_path / "one.safetensors", model, plan, torch.zeros(plan.units, dtype=torch.uint8).numpy())
    with pytest.raises(InvalidRecipe, match=r"one\.safetensors has one level, full; prune it"):
        nest(tmp_path / "one.safetensors", tmp_path / "out.safetensors", few)


@pytest.mark.parametrize(("way", "at"), [("grow", 1), ("grow", 5), ("grow", 14), ("joint", 2)])
def test_what_is_killed_at_any_step_ends_with_the_same_file(pruned_file, few, recipe, tmp_path, way, at, monkeypatch):
    monkeypatch.setattr("elastic.training.loop.KEEP_SECONDS", 0.0)
    how = {"recipe": recipe(epochs=2 if way == "grow" else 1), "way": way}
    nest(pruned_file, tmp_path / "whole.safetensors", few, **how)
    steps = []

    def kill(name, moment):
        steps.append(moment)
        if len(steps) == at:
            raise Killed

    output, files = tmp_path / "out.safetensors", {"keep": tmp_path / "out.training", "log": tmp_path / "out.jsonl"}
    with pytest.raises(Killed):
        nest(pruned_file, output, few, progress=kill, **how, **files)
    assert not output.exists()
    nest(pruned_file, output, few, **how, **files)
    assert output.read_bytes() == (tmp_path / "whole.safetensors").read_bytes()
