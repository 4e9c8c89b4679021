"""Residual networks for small images, with the two shortcuts of their paper: padded (A) and projected (B).

All are plain `nn.Sequential`s of named parts; only a block has a `forward` of its own. No width is written into a
`forward`, so that a block's inner channels can be cut by cutting its tensors alone. The padding of shortcut A is a
constant of the network: cutting the stream that it widens would need other paddings.

He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition, arXiv:1512.03385; section 4.2 for the networks of
6n + 2 layers on CIFAR.
"""

from collections import OrderedDict
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from elastic.models.layers import convolution


class PaddedShortcut(nn.Module):
    """Every second pixel, with zero channels before and after: shortcut A, which has no weights."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        before = (outputs - inputs) // 2
        self.padding = (0, 0, 0, 0, before, outputs - inputs - before)  # width, height, channels

    def forward(self, x: Tensor) -> Tensor:
        """[n, inputs, h, w] -> [n, outputs, h/2, w/2]."""
        return F.pad(x[:, :, ::2, ::2], self.padding)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions, and a shortcut around them (`downsample` in torchvision's names)."""

    def __init__(self, inputs: int, outputs: int, stride: int, shortcut: nn.Module) -> None:
        super().__init__()
        self.conv1 = convolution(inputs, outputs, stride=stride)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = convolution(outputs, outputs)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """[n, inputs, h, w] -> [n, outputs, h/stride, w/stride]."""
        inner = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(inner)) + self.downsample(x))


class PostActivationBlock(BasicBlock):
    """The same with a norm and an activation directly behind both convolutions, and no activation behind the sum."""

    def forward(self, x: Tensor) -> Tensor:
        """[n, inputs, h, w] -> [n, outputs, h/stride, w/stride]."""
        inner = F.relu(self.bn1(self.conv1(x)))
        shortcut: Tensor = self.downsample(x)
        return F.relu(self.bn2(self.conv2(inner))) + shortcut


def padded_resnet(
    depth: int, *, num_classes: int = 10, in_channels: int = 3, block: type[BasicBlock] = BasicBlock
) -> nn.Sequential:
    """Return the CIFAR network of `depth` = 6n + 2 layers: three stages of n blocks, 16, 32 and 64 wide, shortcut A."""
    blocks = (depth - 2) // 6
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    parts["conv1"] = convolution(in_channels, 16)
    parts["bn1"] = nn.BatchNorm2d(16)
    parts["relu"] = nn.ReLU()
    parts["layer1"] = _stage(16, 16, nn.Identity(), blocks=blocks, stride=1, block=block)
    parts["layer2"] = _stage(16, 32, PaddedShortcut(16, 32), blocks=blocks, stride=2, block=block)
    parts["layer3"] = _stage(32, 64, PaddedShortcut(32, 64), blocks=blocks, stride=2, block=block)
    parts["pool"] = nn.AdaptiveAvgPool2d(1)
    parts["flatten"] = nn.Flatten()
    parts["linear"] = nn.Linear(64, num_classes)
    return nn.Sequential(parts)


def projected_resnet(
    widths: tuple[int, ...],
    blocks: tuple[int, ...],
    *,
    num_classes: int = 10,
    in_channels: int = 3,
    block: type[BasicBlock] = BasicBlock,
) -> nn.Sequential:
    """Return a network of one stage per width, with torchvision's names and a stem for small images.

    The stem is a 3x3 convolution at stride 1 and no pooling: ImageNet's would leave 8 of 32 pixels. Every stage but
    the first halves height and width, with a 1x1 convolution and a norm as shortcut (B).
    """
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    parts["conv1"] = convolution(in_channels, widths[0])
    parts["bn1"] = nn.BatchNorm2d(widths[0])
    parts["relu"] = nn.ReLU()
    parts["layer1"] = _stage(widths[0], widths[0], nn.Identity(), blocks=blocks[0], stride=1, block=block)
    for stage, (inputs, outputs) in enumerate(pairwise(widths), start=1):
        projection = nn.Sequential(convolution(inputs, outputs, kernel=1, stride=2), nn.BatchNorm2d(outputs))
        parts[f"layer{stage + 1}"] = _stage(inputs, outputs, projection, blocks=blocks[stage], stride=2, block=block)
    parts["avgpool"] = nn.AdaptiveAvgPool2d(1)
    parts["flatten"] = nn.Flatten()
    parts["fc"] = nn.Linear(widths[-1], num_classes)
    return nn.Sequential(parts)


def post_activation_resnet(depth: int, *, num_classes: int = 10, in_channels: int = 3) -> nn.Sequential:
    """Return the network of that depth, 18 or 6n + 2, whose gates can see an activation behind every convolution.

    Hua et al., "Channel Gating Neural Networks", NeurIPS 2019, gate both convolutions of such blocks.
    """
    taken = {"num_classes": num_classes, "in_channels": in_channels}
    if depth == 18:
        return projected_resnet((64, 128, 256, 512), (2, 2, 2, 2), block=PostActivationBlock, **taken)
    return padded_resnet(depth, block=PostActivationBlock, **taken)


def digits_resnet(*, num_classes: int = 10, in_channels: int = 1) -> nn.Sequential:
    """Return a network of 78 thousand parameters for scikit-learn's 8x8 digits: trains in seconds."""
    return projected_resnet((16, 32, 64), (1, 1, 1), num_classes=num_classes, in_channels=in_channels)


def _stage(
    inputs: int, outputs: int, shortcut: nn.Module, *, blocks: int, stride: int, block: type[BasicBlock]
) -> nn.Sequential:
    first = block(inputs, outputs, stride, shortcut)
    return nn.Sequential(first, *(block(outputs, outputs, 1, nn.Identity()) for _ in range(blocks - 1)))
