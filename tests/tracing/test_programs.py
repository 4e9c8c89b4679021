"""Random networks out of all rules: cut is masked, also for what is traced again after a cut."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elastic.errors import NothingToPrune
from elastic.tracing import trace
from tests.tracing.random_networks import programs, traced
from tests.wirings.claims import NEAR, comes_back, costs_of, counted, cut_of, error_of

# An einsum over an axis of which one position is left is no product any more, and torch counts none.
UNCOUNTED = {"linearly_attended", "contracted"}


@st.composite
def cuts(draw):
    """Return (program, seed of what is removed) of a network with something to cut."""
    return draw(programs().filter(lambda program: traced(program) is not None)), draw(st.integers(0, 1000))


def removed(plan, seed):
    """Return levels that remove any share of the units, and never all of a group."""
    generator = np.random.default_rng(seed)
    levels = (generator.random(plan.units) < generator.random()).astype(np.uint8)
    levels[[generator.choice(group.units) for group in plan.groups]] = 0
    return levels


def holds(case, *, most_cuts=3):
    program, seed = case
    model, example, plan = traced(program)
    for number in range(most_cuts):
        levels = removed(plan, seed + number)
        assert error_of(model, example, plan, levels) < NEAR
        assert comes_back(model, plan, levels)
        model = cut_of(model, plan, levels)
        if not UNCOUNTED & {kind for kind, *_ in program}:
            assert costs_of(plan, levels) == counted(model, example)
        try:
            plan = trace(model, example)
        except NothingToPrune:
            return


@settings(max_examples=100)
@given(cuts())
def test_cutting_is_masking_for_any_network(case):
    holds(case)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@settings(max_examples=2000, derandomize=False)
@given(cuts())
def test_cutting_is_masking_for_two_thousand_networks(case):
    holds(case)
