"""Residual networks whose stream is linear inside a stage: the ReLU comes once, at a stage's end.

A stem of 64 channels in front of stages of 16, 32 and 64, a projection in the first block of every stage, and a 2x2x64
map flattened to 256 before the classifier: every channel of the last stage owns four columns of `linear`. The
architecture of the public checkpoints of github.com/karanchahal/distiller, after He et al., arXiv:1512.03385.
"""

from collections import OrderedDict

import torch.nn.functional as F
from torch import Tensor, nn

from elastic.models.layers import convolution


class LinearBlock(nn.Module):
    """Two 3x3 convolutions plus a shortcut, and no ReLU after the sum."""

    def __init__(self, inputs: int, outputs: int, stride: int, *, is_projected: bool) -> None:
        super().__init__()
        self.conv1 = convolution(inputs, outputs, stride=stride)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = convolution(outputs, outputs)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if is_projected:
            projection = convolution(inputs, outputs, kernel=1, stride=stride)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """[n, inputs, h, w] -> [n, outputs, h/stride, w/stride]."""
        inner = F.relu(self.bn1(self.conv1(x)))
        out: Tensor = self.bn2(self.conv2(inner)) + self.shortcut(x)
        return out


def linear_resnet(depth: int, *, num_classes: int = 10, in_channels: int = 3) -> nn.Sequential:
    """Return the network of `depth` = 6n + 2 layers for 32-pixel images."""
    blocks = (depth - 2) // 6
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    parts["conv1"] = convolution(in_channels, 64)
    parts["bn1"] = nn.BatchNorm2d(64)
    parts["relu"] = nn.ReLU()
    parts["layer1"] = _stage(64, 16, blocks=blocks, stride=1)
    parts["layer2"] = _stage(16, 32, blocks=blocks, stride=2)
    parts["layer3"] = _stage(32, 64, blocks=blocks, stride=2)
    parts["pool"] = nn.AvgPool2d(4)  # [n, 64, 8, 8] -> [n, 64, 2, 2]
    parts["flatten"] = nn.Flatten()
    parts["linear"] = nn.Linear(64 * 2 * 2, num_classes)
    return nn.Sequential(parts)


def _stage(inputs: int, outputs: int, *, blocks: int, stride: int) -> nn.Sequential:
    first = LinearBlock(inputs, outputs, stride, is_projected=True)
    rest = (LinearBlock(outputs, outputs, 1, is_projected=False) for _ in range(blocks - 1))
    return nn.Sequential(first, *rest, nn.ReLU())
