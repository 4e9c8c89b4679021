"""The network of self-pruning layers: two convolutions, then two linear layers that hold nearly all of the weights.

The network on which gates of single weights were published (`elastic.gates.weights`): the first linear layer alone,
4,096 by 256, has 98 % of them.
"""

from collections import OrderedDict

from torch import nn

from elastic.models.layers import convolution


def self_pruning(*, num_classes: int = 10, in_channels: int = 3, dropout: float = 0.3) -> nn.Sequential:
    """Return the network; `dropout` acts before the classifier."""
    features = nn.Sequential(
        *(convolution(in_channels, 32), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2)),  # 32 -> 16 pixels
        *(convolution(32, 64), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2)),  # -> 8
    )
    classifier = nn.Sequential(
        *(nn.Linear(64 * 8 * 8, 256), nn.ReLU(), nn.Dropout(dropout)),
        nn.Linear(256, num_classes),
    )
    return nn.Sequential(OrderedDict(features=features, flatten=nn.Flatten(), classifier=classifier))
