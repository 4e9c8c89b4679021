"""Accuracy against what is spent, with thresholds moved."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from elastic.dynamic import curve
from elastic.dynamic.channel import channel_gated
from elastic.dynamic_gating import channel_gating_of
from elastic.proofs import same_bits
from tests.dynamic.conftest import EXAMPLE, SEEN, small


class Classes(nn.Module):
    """The small network, and the mean of its map as logits."""

    def __init__(self, body):
        super().__init__()
        self.body = body

    def forward(self, x):
        return self.body(x).mean((2, 3))


def test_higher_thresholds_spend_less_and_are_put_back():
    gating = channel_gating_of("paper", layers=("body.stem", "body.middle"), sides="two")
    network = channel_gated(Classes(small()), EXAMPLE.double(), gating, [SEEN])
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    labelled = TensorDataset(SEEN, torch.zeros(20, dtype=torch.long))
    points = curve(network, DataLoader(labelled, batch_size=7), [-9.0, 0.0, 9.0], elsewhere=100)
    assert [round(point.spent.open_share, 1) for point in points][::2] == [1.0, 0.0]
    assert 0 < points[1].spent.open_share < 1
    assert points[0].spent.share == 1
    assert all(same_bits(tensor, before[name]) for name, tensor in network.state_dict().items())
