"""What a plan says of a network: ties, obstacles, and advice for every reason that tracing gives."""

import ast
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import elastic
from elastic import models
from elastic.advising import advise, is_natural
from elastic.costs import CostModel
from elastic.diagnosing import obstacles, taken_apart, ties
from elastic.plan import Frozen, Plan, TensorSpec

TRACING = Path(__file__).parents[1] / "elastic" / "tracing"
GIVES = {"freeze", "freeze_all", "without", "_conflict", "fail", "Followed"}
SAYS = {"in_words", "barrier", "why_frozen"}


def sentences(node: ast.AST) -> list[str]:
    """Return the texts in an expression, with 5 for what is filled in."""
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) and " " in node.value else []
    if isinstance(node, ast.JoinedStr):
        return ["".join(v.value if isinstance(v, ast.Constant) else "5" for v in node.values)]
    if isinstance(node, ast.IfExp):
        return sentences(node.body) + sentences(node.orelse)
    return []


def reasons() -> list[str]:
    """Return every reason that the source of tracing gives for a frozen axis."""
    found: set[str] = set()
    for path in TRACING.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            given: list[ast.AST] = []
            if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in GIVES:
                given = [*node.args, *(keyword.value for keyword in node.keywords)]
            elif isinstance(node, ast.Assign) and re.match(
                r"(why|reason|labels\.reasons)\b", ast.unparse(node.targets[0])
            ):
                given = [node.value]
            elif isinstance(node, ast.FunctionDef) and node.name in SAYS:
                given = [each.value for each in ast.walk(node) if isinstance(each, ast.Return) and each.value]
            found.update(text for each in given for text in sentences(each))
    return sorted(text for text in found if not text.startswith("5"))  # a reason that is passed on


def test_the_reasons_are_found_in_the_source():
    assert {"it is the network's output", "operation `5` has no rule", "softmax is taken over it"} <= set(reasons())


@pytest.mark.parametrize("reason", reasons())
def test_every_reason_that_tracing_gives_has_advice(reason):
    said = reason.replace("5 can't be followed", "LSTM can't be followed")
    assert advise(said), f"say in elastic/advising.py what would have to change so that {reason!r} no longer holds"


def test_a_reason_that_nobody_knows_gets_no_advice():
    assert advise("the moon is in the way") == ""


def test_advice_names_what_the_reason_names():
    assert advise("the pattern 'layer1.*' asks for it") == "leave out --freeze 'layer1.*'"


@pytest.mark.parametrize("reason", ["it is the network's output", "it is the network's input in `convolution`"])
def test_the_network_s_ends_are_natural(reason):
    assert is_natural(reason)


PLACES = {
    "line and module": ("why (net.py:12, module a.b)", ("why", "net.py:12", "a.b")),
    "line": ("why (my net.py:12)", ("why", "my net.py:12", "")),
    "module": ("why (module a.b)", ("why", "", "a.b")),
    "nothing": ("why", ("why", "", "")),
    "other brackets": ("can't take (1x2 and 3x4)", ("can't take (1x2 and 3x4)", "", "")),
    "both": ("can't take (1x2) (net.py:3)", ("can't take (1x2)", "net.py:3", "")),
}


@pytest.mark.parametrize(("reason", "parts"), PLACES.values(), ids=PLACES)
def test_a_reason_is_taken_apart(reason, parts):
    assert taken_apart(reason) == parts


def plan_of(*frozen: Frozen) -> Plan:
    """Return a plan of two weights of 4 x 5, in which axes are frozen as given."""
    tensors = {name: TensorSpec((4, 5), "F32", True) for name in ("a.weight", "b.weight")}
    return Plan({("a.weight", 1): np.arange(5)}, tensors, (), frozen)


def test_one_reason_at_one_line_is_one_obstacle_whatever_its_numbers():
    frozen = (Frozen(f"{m}.weight", 0, 4, f"shape [{n}] is wrong (net.py:3, module {m})") for m, n in ("a7", "b8"))
    (only,) = obstacles(plan_of(*frozen))
    assert (only.reason, only.line, only.modules) == ("shape [7] is wrong", "net.py:3", ("a", "b"))
    assert (only.axes, only.positions, only.params) == ((("a.weight", 0), ("b.weight", 0)), 8, 40)


def test_one_reason_at_two_lines_is_two_obstacles():
    assert len(obstacles(plan_of(*(Frozen(f"{n}.weight", 0, 4, f"why (net.py:{k})") for n, k in ("a1", "b2"))))) == 2


def test_parameters_on_two_frozen_axes_are_counted_once():
    (only,) = obstacles(plan_of(Frozen("a.weight", 0, 2, "why"), Frozen("a.weight", 1, 1, "why")))
    assert only.params == 4 * 5 - 2 * 4


def test_the_network_s_ends_come_last():
    end, other = Frozen("a.weight", 0, 4, "it is the network's output"), Frozen("b.weight", 0, 1, "why")
    assert [each.reason for each in obstacles(plan_of(end, other))] == ["why", "it is the network's output"]


@pytest.fixture(scope="module")
def plan():
    return elastic.trace(models.build("elastic/digits_resnet"), torch.zeros(1, 1, 8, 8))


def test_the_params_of_a_group_are_what_a_network_without_it_lacks(plan):
    costs = CostModel(plan)
    for tie in ties(plan):
        without = costs.cost(plan.group_of_unit != tie.number - 1)
        assert tie.params == costs.dense.params - without.params


def test_the_stream_of_a_residual_network_is_made_by_all_that_add_to_it(plan):
    stream = ties(plan)[0]
    assert stream.makers == ("conv1", "layer1.0.conv2")
    assert stream.users == ("layer1.0.conv1", "layer2.0.conv1", "layer2.0.downsample.0")


def test_channels_are_those_of_the_layer(plan):
    assert {tie.channels for tie in ties(plan)} == {16, 32, 64}


def test_without_the_forward_pass_nobody_knows_who_makes_and_uses():
    plan = elastic.trace(models.build("elastic/digits_resnet"), torch.zeros(1, 1, 8, 8), engine="torch-pruning")
    assert {(tie.makers, tie.users) for tie in ties(plan)} == {(None, None)}


class Own(nn.Module):
    """Two layers whose weights are used by the module itself."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, x):
        return F.linear(F.linear(x, self.first.weight).relu(), self.second.weight)


def test_a_layer_is_called_after_its_weight_where_another_module_uses_that():
    (tie,) = ties(elastic.trace(Own(), torch.zeros(2, 6)))
    assert (tie.makers, tie.users) == (("first",), ("second",))
