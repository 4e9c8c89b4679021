"""A run that is stopped anywhere goes on to the same bits."""

import numpy as np
import pytest
import torch
from torch.utils.data import Subset

from elastic.attending import alternation_of, prune_by_attention
from elastic.proofs import same_bits
from elastic.recipes import Recipe

EXAMPLE = torch.zeros(1, 1, 8, 8)
RECIPE = Recipe(epochs=1, shift=1, mirror=False, batch=64, learning_rate=0.02, label_smoothing=0.0, distil=0.9)
HOW = {
    "target": "macs=60%",
    "alternation": alternation_of(rounds=2, recovery=1, ramp=1.0, back_to="before", tolerance=0.0, elastic_net=0.2),
    "fine_tune": RECIPE,
}


class Stopped(Exception):
    pass


def run(trained, digits, **options):
    few, held_out = Subset(digits, range(192)), Subset(digits, range(192, 256))
    return prune_by_attention(trained, EXAMPLE, few, RECIPE, validation=held_out, **HOW, **options)


@pytest.fixture(scope="module")
def whole(trained, digits):
    names = []
    pruned, (stage,) = run(trained, digits, progress=lambda name, moment: names.append(name))
    return pruned, stage, names


@pytest.mark.parametrize("share", [0.15, 0.3, 0.5, 0.75, 0.95])
def test_what_goes_on_ends_with_the_same_bits(trained, digits, whole, tmp_path, monkeypatch, share):
    monkeypatch.setattr("elastic.training.loop.KEEP_SECONDS", 0)  # it is written after every step
    pruned, stage, names = whole
    left = [round(share * len(names))]

    def stop(name, moment):
        left[0] -= 1
        if left[0] == 0:
            raise Stopped

    kept = {"keep": tmp_path / "net.training", "log": tmp_path / "net.jsonl"}
    with pytest.raises(Stopped):
        run(trained, digits, progress=stop, **kept)
    again, (told,) = run(trained, digits, **kept)
    assert np.array_equal(told.values, stage.values)
    assert np.array_equal(again.levels, pruned.levels)
    assert [len(each.recovery) for each in told.rounds] == [len(each.recovery) for each in stage.rounds]
    for level in range(2):
        found, wanted = again.level(level).state_dict(), pruned.level(level).state_dict()
        assert all(same_bits(tensor, wanted[name]) for name, tensor in found.items())


def test_the_run_that_is_stopped_has_all_phases(whole):
    _, _, names = whole
    assert list(dict.fromkeys(names)) == [
        "macs=60%, round 1, attention", "macs=60%, round 1, recovery", "macs=60%, round 2, attention",
        "macs=60%, round 2, recovery", "macs=60%, cut",
    ]  # fmt: skip
