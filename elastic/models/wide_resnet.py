"""Wide residual networks for CIFAR: pre-activation blocks, 6n + 4 layers, `widen` times as wide.

Norm and ReLU come before each convolution, so that a channel of the residual stream meets a norm of its own in every
block that reads it. Names as in the code of the papers: `layer1.layer.0.convShortcut`.

Zagoruyko, Komodakis: Wide Residual Networks, arXiv:1605.07146; He et al.: Identity Mappings in Deep Residual Networks,
arXiv:1603.05027.
"""

from collections import OrderedDict

import torch.nn.functional as F
from torch import Tensor, nn

from elastic.models.layers import convolution


class PreActivationBlock(nn.Module):
    """Norm, ReLU, convolution, twice. Where the width changes the shortcut is a 1x1 convolution of what conv1 reads."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = convolution(inputs, outputs, stride=stride)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = convolution(outputs, outputs)
        self.convShortcut = convolution(inputs, outputs, kernel=1, stride=stride) if inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        """[n, inputs, h, w] -> [n, outputs, h/stride, w/stride]."""
        active = F.relu(self.bn1(x))
        shortcut = x if self.convShortcut is None else self.convShortcut(active)
        out: Tensor = shortcut + self.conv2(F.relu(self.bn2(self.conv1(active))))
        return out


def wide_resnet(depth: int, widen: int, *, num_classes: int = 10, in_channels: int = 3) -> nn.Sequential:
    """Return the network of `depth` = 6n + 4 layers: three stages of n blocks, 16, 32 and 64 times `widen` wide."""
    blocks = (depth - 4) // 6
    widths = (16, 16 * widen, 32 * widen, 64 * widen)
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    parts["conv1"] = convolution(in_channels, widths[0])
    for stage in (1, 2, 3):
        blocks_here = _stage(widths[stage - 1], widths[stage], blocks=blocks, stride=1 if stage == 1 else 2)
        parts[f"layer{stage}"] = nn.Sequential(OrderedDict(layer=blocks_here))
    parts["bn1"] = nn.BatchNorm2d(widths[3])
    parts["relu"] = nn.ReLU()
    parts["pool"] = nn.AdaptiveAvgPool2d(1)
    parts["flatten"] = nn.Flatten()
    parts["linear"] = nn.Linear(widths[3], num_classes)
    return nn.Sequential(parts)


def _stage(inputs: int, outputs: int, *, blocks: int, stride: int) -> nn.Sequential:
    first = PreActivationBlock(inputs, outputs, stride)
    return nn.Sequential(first, *(PreActivationBlock(outputs, outputs, 1) for _ in range(blocks - 1)))
