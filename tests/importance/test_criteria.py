"""Criteria against plain loops written from the formulas."""

import numpy as np
import pytest
import torch
from torch import nn

from elastic.errors import InvalidWeights, PlanMismatch, UnknownName
from elastic.importance import Magnitude, score, sum_over_units
from elastic.plan import Plan
from elastic.tracing import trace


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.inner = nn.Conv2d(6, 6, 3, padding=1, groups=3)
        self.head = nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.stem(x)).relu()
        return self.head((x + self.inner(x)).mean((2, 3)))


@pytest.fixture(scope="module")
def network() -> tuple[nn.Module, Plan]:
    torch.manual_seed(0)
    model = Residual().double()
    model.norm.weight.data.uniform_(0.5, 1.5)
    return model, trace(model, torch.randn(1, 3, 8, 8))


def loop(model: nn.Module, plan: Plan, p: int) -> np.ndarray:
    totals = [0.0] * plan.units
    for name, tensor in model.named_parameters():
        if name.endswith("bias"):
            continue
        for place in np.ndindex(*tensor.shape):
            for axis in range(tensor.dim()):
                labels = plan.axes.get((name, axis))
                if labels is not None and labels[place[axis]] >= 0:
                    totals[labels[place[axis]]] += abs(tensor[place].item()) ** p
    return np.array(totals)


@pytest.mark.parametrize(("criterion", "p"), [("magnitude", 2), ("magnitude-l1", 1)])
def test_magnitude_is_the_sum_over_all_weights_of_a_unit(
    network: tuple[nn.Module, Plan], criterion: str, p: int
) -> None:
    model, plan = network
    np.testing.assert_allclose(score(model, plan, criterion), loop(model, plan, p), rtol=1e-12)


def test_a_unit_of_a_grouped_convolution_is_a_whole_group(network: tuple[nn.Module, Plan]) -> None:
    _, plan = network
    assert plan.axes["inner.weight", 0].tolist() == [0, 0, 1, 1, 2, 2]


def test_random_scores_repeat_with_their_seed(network: tuple[nn.Module, Plan]) -> None:
    model, plan = network
    assert (score(model, plan, "random", seed=3) == score(model, plan, "random", seed=3)).all()


def test_random_scores_differ_with_their_seed(network: tuple[nn.Module, Plan]) -> None:
    model, plan = network
    assert (score(model, plan, "random", seed=3) != score(model, plan, "random", seed=4)).any()


def test_a_criterion_of_ones_own_is_a_function(network: tuple[nn.Module, Plan]) -> None:
    model, plan = network
    own = score(model, plan, lambda model, plan: np.arange(plan.units))
    assert own.tolist() == list(range(plan.units))


def test_a_criterion_leaves_the_model_as_it_is(network: tuple[nn.Module, Plan]) -> None:
    model, plan = network
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    Magnitude()(model, plan)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_what_a_quantity_lacks_counts_as_zero(network: tuple[nn.Module, Plan]) -> None:
    _, plan = network
    assert sum_over_units({}, plan).tolist() == [0.0] * plan.units


def test_an_unknown_criterion_is_refused_with_those_that_are_known(network: tuple[nn.Module, Plan]) -> None:
    with pytest.raises(UnknownName, match="unknown criterion 'taylr'; known: magnitude"):
        score(*network, "taylr")


def test_scores_that_are_not_one_for_each_unit_are_refused(network: tuple[nn.Module, Plan]) -> None:
    with pytest.raises(PlanMismatch, match="units"):
        score(*network, lambda model, plan: np.ones(1))


def test_weights_that_are_not_finite_are_refused() -> None:
    model = Residual()
    plan = trace(model, torch.randn(1, 3, 8, 8))
    model.stem.weight.data[0, 0, 0, 0] = float("nan")
    with pytest.raises(InvalidWeights, match=r"stem\.weight"):
        score(model, plan)
