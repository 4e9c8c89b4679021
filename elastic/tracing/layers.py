"""What tracing has to know of kinds of layers: which axes of which tensors carry the channels of a side.

A side is "in" or "out"; layers whose channels pass straight through (norms, activations) have only "out".
"""

import numpy as np
from torch import nn

from elastic.plan import Axis, IntArray

Conv = nn.modules.conv._ConvNd
TransposedConv = nn.modules.conv._ConvTransposeNd
BatchNorm = nn.modules.batchnorm._BatchNorm
InstanceNorm = nn.modules.instancenorm._InstanceNorm


def axes_of_side(module: nn.Module, side: str) -> list[Axis]:
    """Return which axes of the module's own tensors have one position for each channel of a side.

    The input side of a grouped convolution has none in its weight; `coupled_channels` ties it to the output side.
    """
    match module, side:
        case TransposedConv(), "in":
            return [("weight", 0)]
        case TransposedConv(), "out":
            return [("bias", 0)] if module.groups > 1 else [("weight", 1), ("bias", 0)]
        case Conv(), "in":
            return [] if module.groups > 1 else [("weight", 1)]
        case nn.Linear(), "in":
            return [("weight", 1)]
        case (Conv(), "out") | (nn.Linear(), "out"):
            return [("weight", 0), ("bias", 0)]
        case BatchNorm() | InstanceNorm(), "out":
            return [("weight", 0), ("bias", 0), ("running_mean", 0), ("running_var", 0)]
        case (nn.LayerNorm() | nn.GroupNorm(), "out") if not why_frozen(module):
            return [("weight", 0), ("bias", 0)]
        case nn.PReLU(), "out" if module.num_parameters > 1:
            return [("weight", 0)]
        case nn.Embedding(), "out":
            return [("weight", 1)]
    return []


def why_frozen(module: nn.Module) -> str | None:
    """Return why no channel of a layer may leave, None where they may."""
    if isinstance(module, nn.LayerNorm) and len(module.normalized_shape) != 1:
        return f"LayerNorm over {len(module.normalized_shape)} axes"
    if isinstance(module, nn.MultiheadAttention | nn.RNNBase | nn.RNNCellBase):
        return f"{type(module).__name__} can't be followed"
    parametrized = "parametrizations" in module._modules or hasattr(module, "weight_g")
    return "a parametrized weight" if parametrized else None


def coupled_channels(module: nn.Module) -> list[tuple[IntArray, IntArray]]:
    """Return (input channels, output channels) of each set that leaves as a whole.

    Groups of a convolution, and groups of a GroupNorm (whose statistics are then those of the groups that stay).
    """
    if isinstance(module, Conv) and module.groups > 1:
        ins = np.arange(module.in_channels).reshape(module.groups, -1)
        outs = np.arange(module.out_channels).reshape(module.groups, -1)
        return list(zip(ins, outs, strict=True))
    if isinstance(module, nn.GroupNorm) and 1 < module.num_groups < module.num_channels:
        groups = np.arange(module.num_channels).reshape(module.num_groups, -1)
        return [(group, group) for group in groups]
    return []
