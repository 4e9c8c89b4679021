"""Recurrent layers as one operation each: unrolled they are thousands, and none of their channels can be followed."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from elastic.tracing.followed import Followed
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
