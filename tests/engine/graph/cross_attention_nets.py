"""Attention between two streams, with shared heads of keys and values, and with positions, as people write it."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH, HEADS, DIM = 24, 4, 6


class Cross(nn.Module):
    """`nn.MultiheadAttention` of some tokens on others, of their own widths; keys and values may be one tensor."""

    def __init__(self, kdim: int | None = None, vdim: int | None = None, one: bool = False, **options) -> None:
        super().__init__()
        self.q, self.k, self.v = nn.Linear(8, WIDTH), nn.Linear(8, kdim or WIDTH), nn.Linear(8, vdim or kdim or WIDTH)
        self.attn = nn.MultiheadAttention(WIDTH, HEADS, kdim=kdim, vdim=vdim, batch_first=True, **options)
        self.norm, self.out, self.one = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 3), one

    def forward(self, x: Tensor) -> Tensor:
        q, k = self.q(x[:, :4]), torch.relu(self.k(x))
        v = k if self.one else torch.tanh(self.v(x))
        attended, _ = self.attn(q, k, v, need_weights=self.one)
        return self.out(self.norm(q + attended))


class Decoder(nn.Module):
    """torch's own decoder layer: attention on itself under a causal mask, then on a memory."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.memory = nn.Linear(8, WIDTH), nn.Linear(8, WIDTH)
        self.layer, self.out = nn.TransformerDecoderLayer(WIDTH, HEADS, 16, 0.0, batch_first=True), nn.Linear(WIDTH, 3)

    def forward(self, x: Tensor) -> Tensor:
        mask = torch.ones(4, 4, dtype=torch.bool, device=x.device).triu(1)
        return self.out(self.layer(self.embed(x[:, :4]), torch.relu(self.memory(x)), tgt_mask=mask))


class Shared(nn.Module):
    """Fewer heads of keys and values than of queries, in the ways that these are repeated."""

    def __init__(self, way: str, pairs: int, turning: bool = False) -> None:
        super().__init__()
        self.n_heads, self.n_kv_heads, self.head_dim, self.way, self.turning = HEADS, pairs, DIM, way, turning
        self.embed, self.wq = nn.Linear(8, WIDTH), nn.Linear(WIDTH, HEADS * DIM, bias=False)
        self.wk, self.wv = (nn.Linear(WIDTH, pairs * DIM, bias=False) for _ in range(2))
        self.wo, self.out = nn.Linear(HEADS * DIM, WIDTH, bias=False), nn.Linear(WIDTH, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        b, n, _ = x.shape
        q = self.wq(x).view(b, n, self.n_heads, self.head_dim).transpose(1, 2)
        k = self.wk(x).view(b, n, self.n_kv_heads, self.head_dim).transpose(1, 2)
        v = self.wv(x).view(b, n, self.n_kv_heads, self.head_dim).transpose(1, 2)
        q, k = (turned(q), turned(k)) if self.turning else (q, k)
        attended = self._attended(q, k, v)
        return self.out(x + self.wo(attended.transpose(1, 2).reshape(b, n, -1)))

    def _attended(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        b, _, n, d = q.shape
        times = self.n_heads // self.n_kv_heads
        if self.way == "natively":
            return F.scaled_dot_product_attention(q, k, v, enable_gqa=True)
        if self.way == "by groups":
            q = q.view(b, self.n_kv_heads, times, n, d)
            scores = q @ k.unsqueeze(2).transpose(-1, -2) * d**-0.5
            return (scores.softmax(-1) @ v.unsqueeze(2)).reshape(b, self.n_heads, n, d)
        if self.way == "repeated":
            k, v = k.repeat_interleave(times, 1), v.repeat_interleave(times, 1)
        if self.way == "expanded":
            whole = (b, self.n_kv_heads, times, n, d)
            k, v = (part.unsqueeze(2).expand(whole).reshape(b, self.n_heads, n, d) for part in (k, v))
        return (q @ k.transpose(-1, -2) * d**-0.5).softmax(-1) @ v


def turned(x: Tensor) -> Tensor:
    """Rotary positions, neighbours in pairs."""
    length, wide = x.shape[-2:]
    angles = torch.arange(length).to(x)[:, None] / 10.0 ** torch.arange(wide // 2).to(x)
    even, odd, cos, sin = x[..., 0::2], x[..., 1::2], angles.cos(), angles.sin()
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], -1).flatten(-2)


class Relative(nn.Module):
    """T5's: a table of distances, an entry for each head."""

    def __init__(self) -> None:
        super().__init__()
        self.heads, self.embed, self.qkv = HEADS, nn.Linear(8, WIDTH), nn.Linear(WIDTH, 3 * WIDTH)
        self.proj, self.table, self.out = nn.Linear(WIDTH, WIDTH), nn.Embedding(9, HEADS), nn.Linear(WIDTH, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        b, n, _ = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        places = torch.arange(n, device=x.device)
        bias = self.table((places[:, None] - places).clamp(-4, 4) + 4).permute(2, 0, 1)
        attended = (q @ k.mT / 6**0.5 + bias).softmax(-1) @ v
        return self.out(x + self.proj(attended.transpose(1, 2).flatten(2)))


NETS: dict[str, Callable[[], nn.Module]] = {
    "cross": Cross,
    "cross, no bias": lambda: Cross(bias=False),
    "cross, one tensor": lambda: Cross(one=True),
    "cross, own widths": lambda: Cross(10, 14),
    "cross, own width, one tensor": lambda: Cross(10, 10, one=True),
    "decoder": Decoder,
    **{
        f"grouped, {way}": (lambda way=way: Shared(way, 2)) for way in ("repeated", "expanded", "by groups", "natively")
    },
    "multi-query, broadcast": lambda: Shared("broadcast", 1),
    "multi-query, expanded": lambda: Shared("expanded", 1),
    "multi-query, natively": lambda: Shared("natively", 1),
    "rotary": lambda: Shared("repeated", 4, turning=True),
    "rotary, grouped": lambda: Shared("repeated", 2, turning=True),
    "relative": Relative,
}
GROUPS = {"grouped": 2, "rotary, grouped": 2, "multi-query, expanded": 1, "multi-query, natively": 1}  # heads that go
