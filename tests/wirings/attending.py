"""Attention: heads and their dimensions, windows, tokens, channels; einsums."""

import torch
import torch.nn.functional as F
from torch import einsum, nn

from tests.wirings.registry import conv, ended, images, mean, wiring

TOKENS = images(2, 5, 8)
QKV = ("mix.qkv.weight", 0)


class SelfAttention(nn.Module):
    """As timm writes it; what it keeps of its widths is what a cut has to put right."""

    def __init__(self, dim=8, heads=4, head_dim=3, *, fused=True, scale=None, norms=False):
        super().__init__()
        self.num_heads, self.head_dim, self.attn_dim = heads, head_dim, heads * head_dim
        self.scale, self.fused, self.fixed = head_dim**-0.5, fused, scale
        self.qkv = nn.Linear(dim, 3 * heads * head_dim)
        self.q_norm = nn.LayerNorm(head_dim) if norms else nn.Identity()
        self.k_norm = nn.LayerNorm(head_dim) if norms else nn.Identity()
        self.proj = nn.Linear(heads * head_dim, dim)

    def forward(self, x):
        n, tokens, _ = x.shape
        q, k, v = self.qkv(x).reshape(n, tokens, 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4).unbind(0)
        q, k = self.q_norm(q), self.k_norm(k)
        if self.fused:
            x = F.scaled_dot_product_attention(q, k, v, scale=self.fixed)
        else:
            x = (q * self.scale @ k.transpose(-2, -1)).softmax(-1) @ v
        return self.proj(x.transpose(1, 2).reshape(n, tokens, self.attn_dim))


def attending(mix, dim=8):
    def connect(m, x):
        x = m.a(x)
        return m.norm(x + m.mix(x)).mean(1)

    return ended(connect, dim, a=nn.Linear(8, dim), mix=mix, norm=nn.LayerNorm(dim))


@wiring(QKV, ("mix.proj.weight", 1), ("a.weight", 0), example=TOKENS)
def heads_of_fused_attention():
    return attending(SelfAttention())


@wiring(QKV, ("mix.proj.weight", 1), example=TOKENS)
def heads_of_attention_by_hand():
    return attending(SelfAttention(fused=False))


@wiring(QKV, example=TOKENS)
def heads_of_attention_with_a_scale():
    return attending(SelfAttention(scale=0.5))


@wiring(QKV, example=TOKENS)
def heads_with_norms():
    return attending(SelfAttention(norms=True))


@wiring(QKV, example=TOKENS)
def heads_as_wide_as_many():
    return attending(SelfAttention(heads=3, head_dim=3))


@wiring(("last.weight", 0), example=TOKENS, frozen="mix.qkv.weight/0: its ")
def one_head():
    return attending(SelfAttention(heads=1, head_dim=6))


class Divided(SelfAttention):
    def forward(self, x):
        n, tokens, _ = x.shape
        q, k, v = (part.view(n, tokens, self.num_heads, -1).transpose(1, 2) for part in self.qkv(x).chunk(3, -1))
        x = F.scaled_dot_product_attention(q, k, v)
        return self.proj(x.transpose(1, 2).flatten(2))


@wiring(QKV, example=TOKENS)
def heads_of_chunks():
    return attending(Divided())


class ByWidth(SelfAttention):
    """Heads out of a number, their dimension out of the stream's width: neither follows a cut of the other."""

    def forward(self, x):
        n, tokens, width = x.shape
        qkv = self.qkv(x).reshape(n, tokens, 3, self.num_heads, width // self.num_heads).permute(2, 0, 3, 1, 4)
        x = F.scaled_dot_product_attention(*qkv.unbind(0))
        return self.proj(x.transpose(1, 2).reshape(n, tokens, width))


@wiring(("last.weight", 0), example=TOKENS, frozen="a.weight/0: ")
def heads_by_the_width_of_the_stream():
    return attending(ByWidth(heads=4, head_dim=2))


class Separate(nn.Module):
    def __init__(self, dim=8, heads=4, kv_heads=4, head_dim=2, v_dim=3, causal=False):
        super().__init__()
        self.heads, self.kv_heads, self.causal = heads, kv_heads, causal
        self.q, self.k = nn.Linear(dim, heads * head_dim), nn.Linear(dim, kv_heads * head_dim)
        self.v, self.proj = nn.Linear(dim, kv_heads * v_dim), nn.Linear(heads * v_dim, dim)

    def forward(self, x):
        n, tokens, _ = x.shape
        q = self.q(x).view(n, tokens, self.heads, -1).transpose(1, 2)
        k, v = (layer(x).view(n, tokens, self.kv_heads, -1).transpose(1, 2) for layer in (self.k, self.v))
        k, v = (t.repeat_interleave(self.heads // self.kv_heads, 1) for t in (k, v))
        x = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return self.proj(x.transpose(1, 2).flatten(2))


@wiring(("mix.v.weight", 0), example=TOKENS)
def queries_keys_and_values_apart():
    return attending(Separate())


@wiring(("mix.v.weight", 0), example=TOKENS)
def causal_attention():
    return attending(Separate(causal=True))


@wiring(("last.weight", 0), example=TOKENS)
def grouped_queries():
    return attending(Separate(kv_heads=2))


class Windows(nn.Module):
    """Swin's: windows of an image, shifted, with a table of biases for every head."""

    def __init__(self, dim=8, heads=4, window=2, shift=1):
        super().__init__()
        self.num_heads, self.window, self.shift = heads, window, shift
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.table = nn.Parameter(torch.randn((2 * window - 1) ** 2, heads))
        places = torch.stack(torch.meshgrid(*[torch.arange(window)] * 2, indexing="ij")).flatten(1)
        apart = (places[:, :, None] - places[:, None]).permute(1, 2, 0) + window - 1
        self.register_buffer("index", apart[..., 0] * (2 * window - 1) + apart[..., 1])

    def forward(self, x):
        n, h, w, c = x.shape
        side = self.window
        x = x.roll((-self.shift, -self.shift), (1, 2))
        x = x.view(n, h // side, side, w // side, side, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, side**2, c)
        qkv = self.qkv(x).reshape(len(x), side**2, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        bias = self.table[self.index.view(-1)].view(side**2, side**2, -1).permute(2, 0, 1)
        x = (q * 0.7 @ k.transpose(-2, -1) + bias).softmax(-1) @ v
        x = self.proj(x.transpose(1, 2).flatten(2))
        x = x.view(n, h // side, w // side, side, side, c).permute(0, 1, 3, 2, 4, 5).reshape(n, h, w, c)
        return x.roll((self.shift, self.shift), (1, 2))


@wiring(("mix.qkv.weight", 0), ("mix.table", 1), example=images(1, 3, 6, 6))
def shifted_windows():
    def connect(m, x):
        x = m.a(x).permute(0, 2, 3, 1)
        return m.norm(x + m.mix(x)).mean((1, 2))

    return ended(connect, 8, a=conv(3, 8), mix=Windows(), norm=nn.LayerNorm(8))


class CrossCovariance(nn.Module):
    """XCiT's: channels of a head attend to channels, normalised over tokens."""

    def __init__(self, dim=8, heads=4):
        super().__init__()
        self.num_heads = heads
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.temperature = nn.Parameter(torch.rand(heads, 1, 1) + 0.5)

    def forward(self, x):
        n, tokens, c = x.shape
        qkv = self.qkv(x).reshape(n, tokens, 3, self.num_heads, c // self.num_heads).permute(2, 0, 3, 4, 1)
        q, k, v = qkv.unbind(0)
        attention = (F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1)) * self.temperature
        return self.proj((attention.softmax(-1) @ v).permute(0, 3, 1, 2).reshape(n, tokens, c))


@wiring(("last.weight", 0), example=TOKENS, frozen="mix.temperature/0: ")
def channels_attend_to_channels():
    return attending(CrossCovariance())


class Linear(nn.Module):
    """Attention without a softmax over pairs: keys and values are summed up first."""

    def __init__(self, dim=8, heads=4, head_dim=3):
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(dim, 3 * heads * head_dim, bias=False), nn.Linear(heads * head_dim, dim)

    def forward(self, x):
        n, tokens, _ = x.shape
        q, k, v = self.qkv(x).reshape(n, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k = F.relu(q), F.relu(k)
        x = q @ (k.transpose(-2, -1) @ v) / ((q * k.sum(2, keepdim=True)).sum(-1, keepdim=True) + 1.0)
        return self.proj(x.transpose(1, 2).flatten(2))


@wiring(("mix.qkv.weight", 0), example=TOKENS)
def linear_attention():
    return attending(Linear())


@wiring(("a.weight", 0), ("b.weight", 1))
def non_local():
    def connect(m, x):
        x = m.a(x)
        q, k, v = m.q(x).flatten(2), m.k(x).flatten(2), m.v(x).flatten(2)
        weights = (q.transpose(1, 2) @ k).softmax(-1)
        return mean(m.b(x + m.o((v @ weights.transpose(1, 2)).view(len(x), -1, *x.shape[2:]))))

    return ended(
        connect, 6, a=conv(3, 8), q=conv(8, 4, 1), k=conv(8, 4, 1), v=conv(8, 6, 1), o=conv(6, 8, 1), b=conv(8, 6),
    )  # fmt: skip


@wiring(("a.weight", 0), ("w", 0), ("w", 1), ("c.weight", 1), example=TOKENS)
def einsum_with_a_weight():
    net = ended(
        lambda m, x: m.c(F.relu(einsum("ntc,cd->ntd", m.a(x), m.w))).mean(1), 6, a=nn.Linear(8, 10), c=nn.Linear(7, 6)
    )
    net.w = nn.Parameter(torch.randn(10, 7))
    return net


@wiring(("a.weight", 0), ("b.weight", 0), ("c.weight", 1), example=TOKENS)
def einsum_of_two_maps():
    def connect(m, x):
        weights = einsum("nqc,nkc->nqk", m.a(x), m.b(x)).softmax(-1)
        return m.c(einsum("nqk,nkc->nqc", weights, m.v(x))).mean(1)

    return ended(connect, 6, a=nn.Linear(8, 10), b=nn.Linear(8, 10), v=nn.Linear(8, 9), c=nn.Linear(9, 6))


@wiring(("a.weight", 0), ("c.weight", 1))
def einsum_over_space():
    return ended(
        lambda m, x: m.c(einsum("nchw,nchw->nc", m.a(x), m.b(x))), 6, a=conv(3, 8), b=conv(3, 8), c=nn.Linear(8, 6)
    )


@wiring(("a.weight", 0), ("b.weight", 0), example=images(2, 6))
def einsum_outer():
    return ended(
        lambda m, x: m.c(einsum("na,nb->nab", m.a(x), m.b(x))).sum(1), 6,
        a=nn.Linear(6, 8), b=nn.Linear(6, 7), c=nn.Linear(7, 6, bias=False),
    )  # fmt: skip


@wiring(("w", 0), example=TOKENS)
def einsum_by_heads():
    net = ended(lambda m, x: einsum("nthd,hdo->nto", einsum("ntc,hcd->nthd", x, m.w).relu(), m.o).mean(1), 6)
    net.w, net.o = nn.Parameter(torch.randn(4, 8, 3)), nn.Parameter(torch.randn(4, 3, 6))
    return net


@wiring(example=TOKENS)
def einsum_with_a_diagonal():
    return ended(
        lambda m, x: m.c(einsum("ncc->nc", m.a(x)[:, :5] @ m.b(x)[:, :5].mT)), 6,
        a=nn.Linear(8, 8), b=nn.Linear(8, 8), c=nn.Linear(5, 6),
    )  # fmt: skip


@wiring(("last.weight", 0), example=images(2, 6), frozen="a.weight/0: operation `_trilinear` has no rule")
def bilinear():
    return ended(lambda m, x: m.mix(m.a(x), m.b(x)), 6, a=nn.Linear(6, 8), b=nn.Linear(6, 7), mix=nn.Bilinear(8, 7, 6))


@wiring(("b.weight", 0), example=TOKENS, frozen="a.weight/0: it meets an axis of fixed size in `mul`")
def rotary_positions():
    def connect(m, x):
        x = m.a(x)
        angles = torch.arange(5.0, device=x.device)[:, None] / 10 ** torch.arange(4.0, device=x.device)
        sine, cosine = angles.sin().repeat(1, 2).to(x.dtype), angles.cos().repeat(1, 2).to(x.dtype)
        u, v = x.chunk(2, -1)
        x = x * cosine + torch.cat([-v, u], -1) * sine
        return m.b(x).mean(1)

    return ended(connect, 6, a=nn.Linear(8, 8), b=nn.Linear(8, 6))
