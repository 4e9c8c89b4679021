"""Channels: gather the weights of open channels, and convolve images that open the same ones together."""

import torch
import torch.nn.functional as F
from torch import Tensor

from elastic.dynamic.skipping.conditional import Conditional


def add_channels(part: Conditional, inputs: Tensor, mask: Tensor, base: Tensor) -> Tensor:
    """Change base to what it is with the conditional part of open channels, and return it; the mask is [n, out]."""
    made, read = part.outputs // part.groups, int(part.weight.shape[1])
    sets, owners = torch.unique(mask, dim=0, return_inverse=True)
    for number, opened in enumerate(sets):
        images = (owners == number).nonzero().squeeze(1)
        for group in range(part.groups):
            outputs = opened[group * made : (group + 1) * made].nonzero().squeeze(1) + group * made
            if not len(outputs):
                continue
            begin = part.first + group * read
            seen = inputs[:, begin : begin + read] if len(sets) == 1 else inputs[images, begin : begin + read]
            sums = F.conv2d(seen, part.weight[outputs], None, part.stride, part.padding, part.dilation)
            base[images[:, None], outputs] += sums
    return base
