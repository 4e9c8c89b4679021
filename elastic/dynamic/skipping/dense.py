"""Dense: compute the conditional part everywhere and mask it; what all other ways have to equal."""

import torch.nn.functional as F
from torch import Tensor

from elastic.dynamic.skipping.conditional import Conditional
from elastic.dynamic.skipping.masks import spread


def add_dense(part: Conditional, inputs: Tensor, mask: Tensor, base: Tensor) -> Tensor:
    """Change base to what it is with the conditional part where the mask is open, and return it."""
    read = inputs[:, part.channels]
    made = F.conv2d(read, part.weight, None, part.stride, part.padding, part.dilation, part.groups)
    return base.addcmul_(made, spread(mask, part.outputs).to(base.dtype))
