"""The one layer that every network here is made of."""

from torch import nn


def convolution(inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    """Return a convolution without bias that keeps height and width at stride 1, with He et al.'s initial weights.

    A norm follows every one of them, so that a bias would be taken away again. He, Zhang, Ren, Sun: Delving Deep into
    Rectifiers, arXiv:1502.01852, with the fan counted over outputs.
    """
    layer = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return layer
