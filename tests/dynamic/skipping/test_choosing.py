"""Choosing: measured once, kept as data, and dense wherever that was faster."""

import json

import pytest
import torch
from torch import nn

from elastic.dynamic.skipping import Choice, add_open, as_data, choice_for, choices_of, choose, conditional_of
from elastic.dynamic.skipping.choosing import Curve, draw
from elastic.dynamic.skipping.ways import WAYS
from elastic.errors import MaskMismatch
from elastic.proofs import relative_error

CHOICE = Choice(10.0, {"rows": Curve((0, 10, 30), (1.0, 5.0, 15.0)), "tiles of 4": Curve((0, 4, 8), (2.0, 4.0, 30.0))})


def opened(count, side=16):
    mask = torch.zeros(1, side, side, dtype=torch.bool)
    mask.view(-1)[:count] = True
    return mask


def layer():
    return conditional_of(nn.Conv2d(8, 4, 3, padding=1), first=2), torch.randn(1, 8, 16, 16)


class Ticking:
    """A clock by which a way takes what a function says, in the order of calls."""

    def __init__(self, monkeypatch, seconds, asking=0.0):
        self.now, self.asking = 0.0, asking
        for name, way in WAYS.items():
            add, count = self.pretended(name, way, seconds), self.counted(way.count)
            monkeypatch.setitem(WAYS, name, type(way)(add, way.kinds, count))

    def counted(self, count):
        def counts(mask, outputs):
            self.now += self.asking
            return count(mask, outputs)

        return counts

    def pretended(self, name, way, seconds):
        def add(part, inputs, mask, base):
            self.now += seconds(name, way.count(mask, part.outputs))  # the real count, which takes no time
            return base

        return add

    def __call__(self):
        return self.now


@pytest.mark.parametrize(
    ("count", "way"), [(0, "rows"), (5, "rows"), (16, "tiles of 4"), (96, "dense"), (256, "dense")]
)
def test_the_count_at_hand_decides(count, way):
    assert CHOICE.way(opened(count), 4) == way


def test_what_saves_less_than_a_twentieth_is_dense():
    choice = Choice(10.0, {"rows": Curve((0, 10), (0.0, 10.0))})
    assert [choice.way(opened(count), 4) for count in (9, 10)] == ["rows", "dense"]


def test_the_break_even_is_where_the_curve_meets_dense():
    assert CHOICE.break_even("rows") == 20
    assert CHOICE.break_even("channels") == -1
    assert Choice(20.0, CHOICE.curves).break_even("rows") == 30


def test_what_is_measured_is_what_is_chosen(monkeypatch):
    part, inputs = layer()
    clock = Ticking(monkeypatch, lambda name, count: {"rows": 1.0 + count, "dense": 100.0}.get(name, 200.0))
    choice = choose(part, inputs, opened(0), clock=clock)
    assert (choice.dense, choice.break_even("rows")) == (100.0, 99)
    assert choice.curves["rows"].at(20) == 21.0


def test_a_way_that_is_never_the_fastest_is_left_out(monkeypatch):
    part, inputs = layer()
    clock = Ticking(monkeypatch, lambda name, count: {"dense": 5.0, "rows": 1.0}.get(name, 0.97))
    assert set(choose(part, inputs, opened(0), clock=clock).curves) == {"rows"}


@pytest.mark.parametrize(("asking", "left"), [(0.25, set()), (0.0625, {"rows"})])
def test_a_way_that_takes_long_to_count_is_left_out(monkeypatch, asking, left):
    part, inputs = layer()
    clock = Ticking(monkeypatch, lambda name, count: {"dense": 8.0, "rows": 1.0}.get(name, 9.0), asking)
    assert set(choose(part, inputs, opened(0), clock=clock).curves) == left


def test_where_nothing_is_faster_all_is_dense(monkeypatch):
    part, inputs = layer()
    choice = choose(part, inputs, opened(0), clock=Ticking(monkeypatch, lambda name, count: float(name != "dense")))
    assert choice == Choice(0.0, {})
    assert choice.way(opened(0), 4) == "dense"


@pytest.mark.parametrize("shape", [(2, 16, 16), (2, 2, 16, 16), (2, 4, 16, 16), (2, 4)], ids=str)
def test_measuring_real_ways_gives_a_choice_that_adds_right(shape):
    part, _ = layer()
    inputs, base, mask = torch.randn(2, 8, 16, 16), torch.randn(2, 4, 16, 16), torch.rand(shape) > 0.9
    choice = choose(part, inputs, mask, runs=1)
    wanted = add_open(part, inputs, mask, base.clone())
    assert relative_error(add_open(part, inputs, mask, base, choice), wanted) < 1e-5


def test_a_layer_is_measured_once():
    part, inputs = layer()
    choices = {}
    first = choice_for(choices, part, inputs, opened(0))
    assert choice_for(choices, part, inputs, opened(7)) is first
    assert list(choices) == [
        "3x3 6->4 stride (1, 1) padding (1, 1) dilation (1, 1) groups 1 of [1, 8, 16, 16] torch.float32, "
        "mask [1, 16, 16], threads 1"
    ]


def test_choices_go_through_json():
    assert choices_of(json.loads(json.dumps(as_data({"a": CHOICE, "b": Choice(1.0, {})})))) == {
        "a": CHOICE, "b": Choice(1.0, {}),
    }  # fmt: skip


@pytest.mark.parametrize("side", [7, 12, 40])
def test_a_drawn_mask_is_as_open_as_asked(side):
    mask = draw(torch.zeros(3, 2, side, side), 8, 0.5)
    assert torch.equal(mask[:, 0], mask[:, 1])
    assert mask.float().mean() == pytest.approx(0.5, abs=0.06)


def test_a_layer_of_groups_is_not_split():
    with pytest.raises(MaskMismatch, match=r"a layer of 2 groups, padded by .* can't be split at input channel 1"):
        conditional_of(nn.Conv2d(4, 4, 3, groups=2), first=1)
