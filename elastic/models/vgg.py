"""VGG networks for 32-pixel images: 3x3 convolutions with norms, pooling between widths, one linear classifier.

The three fully connected layers of the ImageNet network held most of its weights; on CIFAR one layer after a global
pool is as good. A sequence of widths is the whole architecture.

Simonyan, Zisserman: Very Deep Convolutional Networks for Large-Scale Image Recognition, arXiv:1409.1556, table 1,
columns A, B, D and E.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Literal

from torch import nn

from elastic.models.layers import convolution

Step = int | Literal["pool"]

WIDTHS: dict[int, tuple[Step, ...]] = {
    6: (64, 64, "pool", 128, 128, "pool"),
    11: (64, "pool", 128, "pool", 256, 256, "pool", 512, 512, "pool", 512, 512, "pool"),
    13: (64, 64, "pool", 128, 128, "pool", 256, 256, "pool", 512, 512, "pool", 512, 512, "pool"),
    16: (64, 64, "pool", 128, 128, "pool", *(256,) * 3, "pool", *(512,) * 3, "pool", *(512,) * 3, "pool"),
    19: (64, 64, "pool", 128, 128, "pool", *(256,) * 4, "pool", *(512,) * 4, "pool", *(512,) * 4, "pool"),
}


def vgg(depth: int, *, num_classes: int = 10, in_channels: int = 3, dropout: float = 0.0) -> nn.Sequential:
    """Return the network of `depth` layers; `dropout` acts before the classifier."""
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    parts["features"] = _features(WIDTHS[depth], in_channels)
    parts["pool"] = nn.AdaptiveAvgPool2d(1)
    parts["flatten"] = nn.Flatten()
    last = max(step for step in WIDTHS[depth] if step != "pool")
    parts["classifier"] = nn.Sequential(nn.Dropout(dropout), nn.Linear(last, num_classes))
    return nn.Sequential(parts)


def _features(steps: Sequence[Step], in_channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    inputs = in_channels
    for step in steps:
        if step == "pool":
            layers.append(nn.MaxPool2d(2))
        else:
            layers += [convolution(inputs, step), nn.BatchNorm2d(step), nn.ReLU()]
            inputs = step
    return nn.Sequential(*layers)
