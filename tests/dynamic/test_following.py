"""What follows a convolution."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from elastic import models
from elastic.dynamic.following import followings
from tests.dynamic.conftest import EXAMPLE, small


def test_norms_and_activations_are_found_behind_their_convolutions():
    found = followings(small(), EXAMPLE.double())
    assert (found["stem"].norm, found["stem"].activation) == ("norm", "relu")
    assert (found["middle"].norm, found["middle"].activation) == (None, "relu")
    assert (found["last"].norm, found["last"].activation) == (None, None)
    assert [each.is_first for each in found.values()] == [True, False, False]


@pytest.mark.parametrize(
    ("activation", "is_bounded"),
    [
        (nn.ReLU(inplace=True), False),
        (nn.ReLU6(), True),
        (nn.Hardtanh(), True),
        (nn.Sigmoid(), True),
        (nn.SiLU(), False),
    ],
)
def test_activations_are_known_to_be_bounded(activation, is_bounded):
    assert followings(small(activation), EXAMPLE.double())["stem"].is_bounded == is_bounded


def test_a_norm_that_is_not_alone_is_not_taken():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8)

        def forward(self, x):
            made = self.conv(x)
            return F.relu(self.norm(made)) + made

    assert followings(Two(), EXAMPLE)["conv"].norm is None


def test_what_runs_twice_is_left_out():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(8, 8, 1)

        def forward(self, x):
            return self.conv(F.relu(self.conv(x)))

    assert followings(Twice(), EXAMPLE) == {}


def test_in_a_residual_network_the_first_of_two_leads_to_an_activation():
    found = followings(models.build("elastic/digits_resnet"), torch.zeros(1, 1, 8, 8))
    assert (found["layer2.0.conv1"].norm, found["layer2.0.conv1"].activation) == ("layer2.0.bn1", "relu")
    assert (found["layer2.0.conv2"].norm, found["layer2.0.conv2"].activation) == ("layer2.0.bn2", None)
