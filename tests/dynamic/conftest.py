"""Small networks of convolutions, norms and activations."""

import pytest
import torch
from torch import nn

EXAMPLE = torch.zeros(1, 8, 6, 6)
SEEN = torch.randn(20, 8, 6, 6, generator=torch.Generator().manual_seed(3)).double()


class Small(nn.Module):
    """Three convolutions: with a norm and an activation, with an activation alone, with neither."""

    def __init__(self, activation):
        super().__init__()
        self.stem = nn.Conv2d(8, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.act = activation
        self.middle = nn.Conv2d(8, 12, 3, stride=2, padding=1, padding_mode="reflect")
        self.last = nn.Conv2d(12, 4, 1, bias=False)

    def forward(self, x):
        return self.last(torch.relu(self.middle(self.act(self.norm(self.stem(x))))))


def small(activation=None):
    """Return one in float64, with statistics that are not those of the start."""
    torch.manual_seed(1)
    network = Small(activation or nn.ReLU()).double().train()
    network(torch.randn(16, 8, 6, 6).double())
    for values in (network.norm.weight, network.norm.bias):
        nn.init.uniform_(values, 0.5, 1.5)
    return network.eval()


@pytest.fixture
def images():
    return torch.randn(5, 8, 6, 6, generator=torch.Generator().manual_seed(2)).double()
