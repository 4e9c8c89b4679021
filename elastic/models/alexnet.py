"""AlexNet for 32-pixel images: the five convolutions of the original at a gentler stride, then its three linear layers.

No norms, biases everywhere, and a 2x2x256 map flattened to 1,024: every channel of the last convolution owns four
columns of the first linear layer, which with the second holds nine tenths of the weights.

Krizhevsky, Sutskever, Hinton: ImageNet Classification with Deep Convolutional Neural Networks (2012), with the widths
of Krizhevsky: One Weird Trick for Parallelizing Convolutional Neural Networks, arXiv:1404.5997.
"""

from collections import OrderedDict

from torch import nn


def alexnet(*, num_classes: int = 10, in_channels: int = 3, dropout: float = 0.5) -> nn.Sequential:
    """Return the network; `dropout` acts before the first two linear layers."""
    features = nn.Sequential(
        *(nn.Conv2d(in_channels, 64, 3, stride=2, padding=1), nn.ReLU(), nn.MaxPool2d(2)),  # 32 -> 16 -> 8 pixels
        *(nn.Conv2d(64, 192, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),  # -> 4
        *(nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),  # -> 2
    )
    classifier = nn.Sequential(
        *(nn.Dropout(dropout), nn.Linear(256 * 2 * 2, 4096), nn.ReLU()),
        *(nn.Dropout(dropout), nn.Linear(4096, 4096), nn.ReLU()),
        nn.Linear(4096, num_classes),
    )
    return nn.Sequential(OrderedDict(features=features, flatten=nn.Flatten(), classifier=classifier))
