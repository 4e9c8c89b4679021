"""From a forward pass to rows: what is folded, what stays a row, and what each says of its channels."""

import numpy as np
import pytest

from elastic.drawing.rows import Part, rows_of
from elastic.plan import NEVER, Layer, Plan, TensorSpec


def layer(kind, *inputs, module="m", weight=None, shape=(1, 8, 4, 4), units=None):
    return Layer(module, kind, inputs, weight, shape, {} if units is None else {1: np.array(units)})


def plan_of(*layers, units=8, weights=()):
    """Return a plan of these layers, whose units are groups of two layers of four."""
    axes = {("m.weight", 0): np.arange(units)[:4], ("n.weight", 0): np.arange(units)[4:]}
    tensors = {name: TensorSpec(shape, "F32", True) for name, shape in weights}
    tensors |= {name: TensorSpec((4,), "F32", True) for name, _ in axes if name not in tensors}
    return Plan(axes, tensors, (), layers=layers)


def shown(*layers):
    return [(row.kind, row.inputs, row.before, row.after) for row in rows_of(plan_of(*layers))]


def test_a_norm_and_an_activation_are_marks_on_the_layer_that_they_follow():
    rows = shown(layer("convolution"), layer("norm", 0), layer("activation", 1), layer("convolution", 2))
    assert rows == [("convolution", (), (), ["norm", "activation"]), ("convolution", (0,), (), [])]


def test_an_activation_after_a_join_is_a_mark_on_the_join():
    rows = shown(layer("convolution"), layer("convolution", 0), layer("add", 0, 1), layer("activation", 2))
    assert rows[2] == ("add", (0, 1), (), ["activation"])


def test_a_norm_on_a_branch_is_a_mark_before_the_layer_that_it_leads_to():
    rows = shown(layer("convolution"), layer("norm", 0), layer("linear", 1), layer("add", 0, 2))
    assert rows == [("convolution", (), (), []), ("linear", (0,), ("norm",), []), ("add", (0, 1), (), [])]


def test_a_norm_that_leads_to_several_layers_beside_a_skip_is_a_row():
    rows = shown(
        layer("convolution"), layer("norm", 0), layer("linear", 1), layer("linear", 1), layer("add", 0, 2, 3)
    )  # fmt: skip
    assert [(kind, inputs) for kind, inputs, _, _ in rows] == [
        ("convolution", ()), ("norm", (0,)), ("linear", (1,)), ("linear", (1,)), ("add", (0, 2, 3))
    ]  # fmt: skip


def test_an_activation_that_halves_its_channels_is_a_row():
    plan = plan_of(layer("convolution", units=range(8)), layer("activation", 0, shape=(1, 4, 4, 4), units=range(4)))
    assert [(row.kind, row.width) for row in rows_of(plan)] == [("convolution", 8), ("activation", 4)]


def test_parts_are_runs_of_one_group_or_of_none():
    (row,) = rows_of(plan_of(layer("convolution", units=[0, 1, 4, 5, NEVER, NEVER, 2, 3])))
    assert row.parts == (Part(0, 2), Part(1, 2), Part(NEVER, 2), Part(0, 2))


def test_groups_that_alternate_too_often_are_shown_once_each():
    (row,) = rows_of(plan_of(layer("convolution", shape=(1, 400, 1, 1), units=[0, 4] * 200)))
    assert row.parts == (Part(0, 200), Part(1, 200))


def test_a_layer_without_units_is_frozen_as_a_whole():
    (row,) = rows_of(plan_of(layer("convolution")))
    assert row.parts == (Part(NEVER, 8),)


CONVOLUTIONS = {
    "ordinary": ((8, 6, 3, 3), 6, (6, "3×3")),
    "of part of what comes in": ((8, 3, 1, 1), 5, (3, "1×1")),
    "depthwise": ((8, 1, 5, 5), 8, (8, "5×5, depthwise")),
    "depthwise with a multiplier": ((8, 1, 3, 3), 4, (4, "3×3, depthwise")),
    "grouped": ((8, 4, 3, 3), 16, (16, "3×3, 4 groups")),
    "transposed": ((6, 8, 2, 2), 6, (6, "2×2")),
    "transposed and grouped": ((6, 4, 2, 2), 6, (6, "2×2, 2 groups")),
    "of sequences": ((8, 6, 3), 6, (6, "3")),
}


@pytest.mark.parametrize(("weight", "width", "said"), CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_a_convolution_says_what_comes_in_and_of_what_kind_it_is(weight, width, said):
    source, own = layer("convolution", shape=(1, width, 4, 4)), layer("convolution", 0, weight="c.weight")
    *_, row = rows_of(plan_of(source, own, weights=[("c.weight", weight)]))
    assert (row.width_in, row.detail) == said


def test_a_convolution_with_units_on_its_input_axis_has_one_group():
    source, own = layer("convolution", units=range(8)), layer("convolution", 0, weight="c.weight")
    plan = plan_of(source, own, weights=[("c.weight", (8, 4, 1, 1))])
    *_, row = rows_of(Plan({**plan.axes, ("c.weight", 1): np.arange(4)}, plan.tensors, (), layers=plan.layers))
    assert (row.width_in, row.detail) == (4, "1×1")


def test_a_linear_layer_says_what_comes_in_after_flattening():
    source, own = layer("convolution"), layer("linear", 0, weight="f.weight", shape=(1, 10))
    *_, row = rows_of(plan_of(source, own, weights=[("f.weight", (10, 128))]))
    assert (row.width_in, row.width) == (128, 10)


def test_what_is_frozen_and_concatenated_is_as_wide_as_its_parts():
    *_, row = rows_of(plan_of(layer("convolution"), layer("convolution"), layer("cat", 0, 1, shape=(1, 16, 4, 4))))
    assert row.width == 16


def test_rows_of_one_block_go_together():
    modules = ["stem", *(f"stage.{block}.conv{number}" for block in range(4) for number in range(8))]
    rows = rows_of(plan_of(*(layer("convolution", module=module) for module in modules)))
    assert [row.block for row in rows] == ["stem", *(f"stage.{block}" for block in range(4) for _ in range(8))]
