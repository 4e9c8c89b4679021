"""Attention whose width is its own: torch's multi-head attention, for weights of which something was cut.

`nn.MultiheadAttention` takes the width of its heads from the width of what goes in, so neither can change alone. Here
the weights say what they are: queries, keys and values are a third of the packed projection each, split over as many
heads as there were, and the scale stays that of the original heads. Whole, it computes what torch's own does.

Vaswani et al., "Attention Is All You Need", 2017, section 3.2.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def can_be_free(module: nn.Module) -> bool:
    """Return whether a module is an attention with one packed projection and nothing added to keys and values."""
    if type(module) not in (nn.MultiheadAttention, FreeAttention):
        return False
    held: Any = module  # whose stubs know no attention without a packed projection
    return held.in_proj_weight is not None and held.bias_k is None and not held.add_zero_attn


def set_free(module: nn.Module) -> None:
    """Change an attention so that its weights may be of any width."""
    if type(module) is nn.MultiheadAttention:
        module.scale = (module.embed_dim // module.num_heads) ** -0.5
        module._qkv_same_embed_dim = False  # keeps torch's encoder layers from a fused path that knows one width only
        module.__class__ = FreeAttention


def set_all_free(model: nn.Module) -> None:
    """Change all attentions of a model that can be, so that their layers are called one by one, in cut networks too."""
    for module in model.modules():
        if can_be_free(module):
            set_free(module)


class FreeAttention(nn.MultiheadAttention):
    """Multi-head attention over [L, N, E], or [N, L, E] with `batch_first`; E and the heads' width are the weights'."""

    scale: float

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Return what torch's own returns for the same arguments: outputs, and weights [N, L, S] if they are needed."""
        is_batched = query.dim() == 3
        q, k, v = (self._batch_first(each, is_batched) for each in (query, key, value))
        weights = self.in_proj_weight.chunk(3)
        biases: Any = (None, None, None) if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        q, k, v = (
            _heads(F.linear(x, weight, bias), self.num_heads)
            for x, weight, bias in zip((q, k, v), weights, biases, strict=True)
        )  # [N, heads, L, D]
        mask = _mask(q, k, key_padding_mask, attn_mask, is_causal)
        dropout = self.dropout if self.training else 0.0
        if need_weights:
            scores = (q * self.scale) @ k.transpose(-2, -1)
            scores = (scores if mask is None else scores + mask).softmax(-1)
            out = F.dropout(scores, dropout) @ v
        else:
            scores = None
            out = F.scaled_dot_product_attention(q, k, v, mask, dropout, scale=self.scale)
        out = self.out_proj(out.transpose(1, 2).flatten(2))
        if scores is not None and average_attn_weights:
            scores = scores.mean(1)
        if not is_batched:
            return out.squeeze(0), scores if scores is None else scores.squeeze(0)
        return out if self.batch_first else out.transpose(0, 1), scores

    def _batch_first(self, x: Tensor, is_batched: bool) -> Tensor:
        if not is_batched:
            return x.unsqueeze(0)
        return x if self.batch_first else x.transpose(0, 1)


def _heads(x: Tensor, heads: int) -> Tensor:
    return x.view(*x.shape[:-1], heads, -1).transpose(1, 2)  # [N, L, heads * D] -> [N, heads, L, D]


def _mask(q: Tensor, k: Tensor, padding: Tensor | None, mask: Tensor | None, is_causal: bool) -> Tensor | None:
    """Return what is added to the scores, [N or 1, heads or 1, L, S]; True in a mask of truth values hides."""
    if mask is None and is_causal:
        raise RuntimeError("is_causal is a hint about attn_mask; give attn_mask too")  # as torch's own does
    found = None
    if mask is not None:
        found = _added(mask, q.dtype)
        found = found if found.dim() == 2 else found.view(q.shape[0], -1, *found.shape[-2:])
    if padding is not None:
        hidden = _added(padding, q.dtype).view(-1, 1, 1, k.shape[2])
        found = hidden if found is None else found + hidden
    return found


def _added(mask: Tensor, dtype: torch.dtype) -> Tensor:
    if mask.dtype != torch.bool:
        return mask.to(dtype)
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(mask, float("-inf"))
