"""Precision: in what arithmetic a network is run on data."""

import copy

import torch
from torch import nn

HALVES = (torch.float16, torch.bfloat16)


def computable(model: nn.Module) -> nn.Module:
    """Return the model, or a copy in float32 if it has weights of half precision, whose sums over data would be off."""
    return copy.deepcopy(model).float() if any(p.dtype in HALVES for p in model.parameters()) else model


def dtype_of(model: nn.Module) -> torch.dtype:
    """Return the dtype of a model's first floating-point parameter, float32 if it has none."""
    return next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
