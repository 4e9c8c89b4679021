"""What torch takes apart before a rule can see it, as wholes: recurrent layers, and RMS norms.

A recurrent layer unrolls into thousands of operations, and none of its channels can be followed.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from elastic.tracing.following.followed import Followed
from elastic.tracing.labels import Counted

Put = Callable[[Tensor, Followed], None]


def sealed(module: nn.RNNBase, enter: Callable[[Tensor], None], put: Put) -> Callable[..., Any]:
    """Return a forward that makes empty outputs of the right shape; `enter` is told what goes in.

    Takes [L, N, I], [N, L, I] with `batch_first`, or [L, I]; packed sequences are unrolled as ever.
    """

    def forward(x: Any, hx: Any = None) -> Any:
        if not isinstance(x, Tensor):
            return type(module).forward(module, x, hx)
        enter(x)
        ways = 2 if module.bidirectional else 1
        width = module.proj_size or module.hidden_size
        batch = [] if x.dim() == 2 else [x.shape[0 if module.batch_first else 1]]
        made = [x.new_empty((*x.shape[:-1], ways * width))]
        made += [
            x.new_empty((ways * module.num_layers, *batch, size))
            for size in ((width, module.hidden_size) if isinstance(module, nn.LSTM) else (width,))
        ]
        for tensor in made:
            put(tensor, Followed())
        return made[0], tuple(made[1:]) if isinstance(module, nn.LSTM) else made[1]

    return forward


def costs_of(path: str, module: nn.RNNBase, x: Tensor) -> list[Counted]:
    """Return what a recurrent layer costs: every element of a weight is used once for each step of each sequence."""
    steps = x.numel() // x.shape[-1]
    prefix = f"{path}." if path else ""
    return [
        Counted(path, type(module).__name__.lower(), f"{prefix}{name}", steps)
        for name, weight in module._parameters.items()
        if weight is not None and weight.dim() == 2
    ]


class RmsAsLayerNorm(TorchFunctionMode):
    """What an RMS norm does to channels, a layer norm does; a layer norm is seen whole."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (F.rms_norm, torch.rms_norm):
            given = dict(zip(("input", "normalized_shape", "weight", "eps"), args, strict=False)) | (kwargs or {})
            return F.layer_norm(given["input"], given["normalized_shape"], given.get("weight"), None)
        return func(*args, **(kwargs or {}))
