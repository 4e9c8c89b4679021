"""Openings: without noise, of any shape, down to zero."""

import pytest
import torch

from elastic.gates import OPENINGS, Gates


def gates_at(logits, opening, **options):
    gates = Gates(len(logits), opening, **options)
    with torch.no_grad():
        gates.logits.copy_(torch.tensor(logits))
    return gates


@pytest.mark.parametrize("opening", OPENINGS)
def test_gates_have_the_shape_that_is_asked_for(opening):
    gates = Gates((2, 3), opening)
    for made in (gates(), gates.soft(), gates.hard(), gates.priced()):
        assert made.shape == (2, 3)
    assert Gates(5, opening).logits.shape == (5,)


@pytest.mark.parametrize("opening", OPENINGS)
def test_gates_without_noise_are_the_same_each_time_and_in_each_mode(opening):
    gates = gates_at([-3.0, -0.5, 0.5, 3.0], opening)
    assert torch.equal(gates.train().soft(), gates.eval().soft())


@pytest.mark.parametrize(
    ("opening", "wanted"),
    [
        ("sigmoid", [0.5, 0.880797, 0.006693]),
        ("hard-sigmoid", [0.5, 5 / 6, 0.0]),
        ("hard-concrete", [0.5, 0.880797 * 1.2 - 0.1, 0.0]),
        ("binary", [0.0, 1.0, 0.0]),
    ],
)
def test_how_far_gates_are_open(opening, wanted):
    assert gates_at([0.0, 2.0, -5.0], opening).soft().tolist() == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("opening", OPENINGS)
def test_hard_concrete_and_binary_gates_are_drawn(opening):
    gates = gates_at(16 * [0.3], opening)
    assert torch.equal(gates.drawn(), gates.drawn()) == (opening not in ("hard-concrete", "binary"))


def test_a_hard_sigmoid_that_is_closed_feels_nothing():
    gates = gates_at([-4.0, 1.0], "hard-sigmoid")
    gates.priced().sum().backward()
    assert gates.logits.grad.tolist() == pytest.approx([0, 1 / 6])
