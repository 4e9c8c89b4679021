"""One reduction for every quantity."""

import numpy as np
import pytest
import torch

from elastic.errors import UnknownName
from elastic.importance import reduce_along_axes, reduce_over_units, score
from tests.importance import plain

REDUCTIONS = ("sum", "mean", "max")
NETWORKS = ("chain", "depthwise", "dense_block", "flattened", "tied_weights")


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", NETWORKS)
def test_a_reduction_is_what_a_loop_over_all_elements_gives(name, reduction):
    model, plan = plain.network(name)
    values = {key: torch.randn_like(weight) for key, weight in plain.weights(model).items()}
    np.testing.assert_allclose(
        reduce_over_units(values, plan, reduction), plain.over_units(values, plan, reduction), rtol=1e-12, atol=1e-15
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_magnitude_is_reduced_as_asked(reduction):
    model, plan = plain.small()
    expected = plain.over_units({k: w.detach().square() for k, w in plain.weights(model).items()}, plan, reduction)
    np.testing.assert_allclose(score(model, plan, "magnitude", reduction=reduction), expected, rtol=1e-12)


def test_the_largest_of_negative_values_is_negative():
    _, plan = plain.small()
    assert (reduce_over_units({"stem.weight": -torch.ones(6, 3, 3, 3)}, plan, "max") == -1).all()


def test_values_along_an_axis_are_added_at_their_units():
    _, plan = plain.small()
    found = reduce_along_axes({("stem.weight", 0): torch.arange(6.0)}, plan)
    assert found.tolist() == [1.0, 5.0, 9.0]  # two channels of each group of the grouped convolution


def test_an_unknown_reduction_is_refused():
    model, plan = plain.small()
    with pytest.raises(UnknownName, match="unknown reduction 'median'; known: sum, mean, max"):
        score(model, plan, reduction="median")
