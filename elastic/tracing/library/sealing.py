"""Make a module one node of autograd's graph, so that what happens within it can't be taken for anything else.

Recurrent layers and attention unroll into splits and views that mix channels; an instance norm is a batch norm over a
reshaped image. Sealed, they are what their kind says.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from elastic.tracing.layers import InstanceNorm

SEALED = (nn.MultiheadAttention, nn.RNNBase, nn.RNNCellBase, InstanceNorm)


@contextmanager
def sealed(model: nn.Module) -> Iterator[None]:
    """Change the model, while active, so that its sealed layers are one node each."""
    hooks = [m.register_forward_hook(_seal, with_kwargs=True) for m in model.modules() if isinstance(m, SEALED)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _seal(module: nn.Module, args: Any, kwargs: Any, output: Any) -> Any:
    inputs = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor) and leaf.requires_grad]
    function: Any = type(type(module).__name__, (_Sealed,), {})  # autograd names the node after its class
    return tree_map(lambda t: function.apply(t.detach(), *inputs) if isinstance(t, Tensor) else t, output)


class _Sealed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, output: Tensor, *inputs: Tensor) -> Tensor:
        return output.clone()
