"""Netting: the elastic net of attention, its smooth part for gradients, its sharp part as a proximal step.

sum over units of (1 - s) a^2 + s |a| (Zou and Hastie, "Regularization and variable selection via the elastic net",
2005). A gradient of |a| jumps over zero and back; the step that solves it exactly, the soft threshold, stops there
(Parikh and Boyd, "Proximal Algorithms", 2014, section 6.5.2).
"""

import torch
from torch import Tensor


def elastic_net(values: Tensor, sparse: float) -> Tensor:
    """Return the elastic net of values, a scalar, `sparse` of which is |a|."""
    return smooth_part(values, sparse) + sparse * values.abs().sum()


def smooth_part(values: Tensor, sparse: float) -> Tensor:
    """Return the part of squares, a scalar."""
    return (1 - sparse) * values.square().sum()


def soft_threshold(values: Tensor, threshold: float) -> Tensor:
    """Return max(0, a - threshold): what minimises (b - a)^2 / 2 + threshold |b| over b of at least 0."""
    return torch.clamp_min(values - threshold, 0)
