"""Precision: in what arithmetic a network is run on data."""

import copy
import logging

import torch
from torch import nn

log = logging.getLogger(__name__)

HALVES = (torch.float16, torch.bfloat16)


def computable(model: nn.Module) -> nn.Module:
    """Return the model, or a copy in float32 if it has weights of half precision, whose sums over data would be off."""
    return copy.deepcopy(model).float() if any(p.dtype in HALVES for p in model.parameters()) else model


def warn_if_slow(precision: str, device: torch.device) -> None:
    """Log a warning for products of bfloat16 on a processor without instructions for them.

    Measured on one with AVX2 alone: a step of ResNet-20 takes ten times as long as in float32; where there are some,
    half as long.
    """
    is_slow = device.type == "cpu" and not torch.ops.mkldnn._is_mkldnn_bf16_supported()
    if precision == "bfloat16" and is_slow:
        log.warning("this processor has no fast products of bfloat16: training is slower than with precision=float32")


def dtype_of(model: nn.Module) -> torch.dtype:
    """Return the dtype of a model's first floating-point parameter, float32 if it has none."""
    return next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
