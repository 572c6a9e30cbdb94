"""Small networks with attention in the forms that people write it in."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH, HEADS = 24, 4


class Residual(nn.Module):
    """An attention on a stream under a layer norm, and an MLP behind it."""

    def __init__(self, attention: nn.Module, width: int = WIDTH) -> None:
        super().__init__()
        self.norm, self.attention = nn.LayerNorm(width), attention
        self.after, self.mlp = nn.LayerNorm(width), nn.Sequential(nn.Linear(width, 32), nn.GELU(), nn.Linear(32, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm(x))
        return x + self.mlp(self.after(x))


class Net(nn.Module):
    """Tokens of 8 numbers in, 3 numbers per token out."""

    def __init__(self, *blocks: nn.Module) -> None:
        super().__init__()
        self.embed, self.blocks = nn.Linear(8, WIDTH), nn.Sequential(*blocks)
        self.out = nn.Linear(WIDTH, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.blocks(self.embed(x)))


class Packed(nn.Module):
    """One linear layer for queries, keys and values; sizes by attributes."""

    def __init__(self, width: int = WIDTH, heads: int = HEADS) -> None:
        super().__init__()
        self.num_heads, self.head_dim, self.scale = heads, width // heads, (width // heads) ** -0.5
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.drop = nn.Dropout(0.1)

    def forward(self, x: Tensor) -> Tensor:
        count, length, _ = x.shape
        qkv = self.qkv(x).reshape(count, length, 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        attention = self.drop((q * self.scale @ k.transpose(-2, -1)).softmax(dim=-1))
        return self.proj((attention @ v).transpose(1, 2).reshape(count, length, -1))


class Classic(nn.Module):
    """Sizes computed from the width of the stream, as in the first vision transformers."""

    def __init__(self, width: int = WIDTH, heads: int = HEADS) -> None:
        super().__init__()
        self.h, self.qkv, self.proj = heads, nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        b, n, c = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.h, c // self.h).permute(2, 0, 3, 1, 4)
        out = F.scaled_dot_product_attention(q, k, v)
        return self.proj(out.transpose(1, 2).reshape(b, n, c))


class Separate(nn.Module):
    """Three linear layers, of an inner width of its own; `view` by attributes."""

    def __init__(self, heads: int = HEADS, wide: int = 5) -> None:
        super().__init__()
        self.heads, self.wide, self.inner = heads, wide, heads * wide
        self.q, self.k, self.v = (nn.Linear(WIDTH, self.inner) for _ in range(3))
        self.to_out = nn.Linear(self.inner, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        b, n, _ = x.shape
        q, k, v = (part(x).view(b, n, self.heads, self.wide).transpose(1, 2) for part in (self.q, self.k, self.v))
        out = F.scaled_dot_product_attention(q, k, v, dropout_p=0.1 if self.training else 0.0)
        return self.to_out(out.transpose(1, 2).contiguous().view(b, n, self.inner))


class Einsum(Separate):
    """The same by einsum, softmax by hand."""

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (part(x).unflatten(-1, (self.heads, -1)) for part in (self.q, self.k, self.v))
        weights = (torch.einsum("bihd,bjhd->bhij", q, k) * self.wide**-0.5).softmax(-1)
        return self.to_out(torch.einsum("bhij,bjhd->bihd", weights, v).flatten(2))


class Grouped(nn.Module):
    """Two heads of keys and values for four of queries, with rotary positions and norms of queries and keys."""

    def __init__(self, native: bool, pairs: int = 2) -> None:
        super().__init__()
        self.n_heads, self.n_kv_heads, self.head_dim, self.native = HEADS, pairs, 6, native
        self.wq = nn.Linear(WIDTH, HEADS * 6, bias=False)
        self.wk, self.wv = (nn.Linear(WIDTH, pairs * 6, bias=False) for _ in range(2))
        self.wo, self.q_norm, self.k_norm = nn.Linear(HEADS * 6, WIDTH, bias=False), nn.RMSNorm(6), nn.LayerNorm(6)

    def forward(self, x: Tensor) -> Tensor:
        b, n, _ = x.shape
        q = self.q_norm(self.wq(x).view(b, n, -1, self.head_dim)).transpose(1, 2)
        k = self.k_norm(self.wk(x).view(b, n, -1, self.head_dim)).transpose(1, 2)
        v = self.wv(x).view(b, n, -1, self.head_dim).transpose(1, 2)
        q, k = turned(q), turned(k)
        if not self.native:
            times = self.n_heads // self.n_kv_heads
            k, v = k.repeat_interleave(times, 1), v.repeat_interleave(times, 1)
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=self.native)
        return self.wo(out.transpose(1, 2).reshape(b, n, -1))


def turned(x: Tensor) -> Tensor:
    """Rotary positions."""
    half = x.shape[-1] // 2
    angles = torch.arange(x.shape[-2], device=x.device).to(x.dtype)[:, None] / 10.0 ** torch.arange(3).to(x)
    cos, sin = angles.cos().repeat(1, 2), angles.sin().repeat(1, 2)
    return x * cos + torch.cat([-x[..., half:], x[..., :half]], -1) * sin


class Windows(nn.Module):
    """Windows of 2 × 2 on a map of 4 × 4, shifted, with a table of relative positions per head."""

    def __init__(self, width: int = WIDTH, heads: int = HEADS) -> None:
        super().__init__()
        self.num_heads, self.scale = heads, (width // heads) ** -0.5
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.table = nn.Parameter(torch.randn(9, heads))
        places = torch.stack(torch.meshgrid(torch.arange(2), torch.arange(2), indexing="ij")).flatten(1)
        apart = places[:, :, None] - places[:, None] + 1
        self.register_buffer("index", apart[0] * 3 + apart[1])

    def forward(self, x: Tensor) -> Tensor:
        b, _, c = x.shape
        x = torch.roll(x.view(b, 4, 4, c), (-1, -1), (1, 2))
        x = x.view(b, 2, 2, 2, 2, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, 4, c)
        qkv = self.qkv(x).reshape(len(x), 4, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0] * self.scale, qkv[1], qkv[2]
        scores = q @ k.transpose(-2, -1)
        bias = self.table[self.index.view(-1)].view(4, 4, -1).permute(2, 0, 1)
        x = ((scores + bias.unsqueeze(0)).softmax(-1) @ v).transpose(1, 2).flatten(2)
        x = self.proj(x).view(b, 2, 2, 2, 2, c).permute(0, 1, 3, 2, 4, 5).reshape(b, 4, 4, c)
        return torch.roll(x, (1, 1), (1, 2)).view(b, 16, c)


class Cross(nn.Module):
    """Attention over channels (XCiT): each head has a temperature."""

    def __init__(self, width: int = WIDTH, heads: int = HEADS) -> None:
        super().__init__()
        self.num_heads, self.temperature = heads, nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        b, n, _ = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.num_heads, -1).permute(2, 0, 3, 4, 1)
        q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
        weights = (q @ k.transpose(-2, -1) * self.temperature).softmax(-1)
        return self.proj((weights @ v).permute(0, 3, 1, 2).flatten(2))


class Single(nn.Module):
    """One head without an axis for it: dimensions of queries and keys go in pairs, those of values alone."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = nn.Linear(WIDTH, 7), nn.Linear(WIDTH, 7), nn.Linear(WIDTH, 9)
        self.out = nn.Linear(9, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return self.out((self.q(x) @ self.k(x).mT * 0.3).softmax(-1) @ self.v(x))


class Torch(nn.Module):
    """`nn.MultiheadAttention`."""

    def __init__(self, weights: bool = False, masked: str = "", **options) -> None:
        super().__init__()
        self.attn, self.weights, self.masked = nn.MultiheadAttention(WIDTH, HEADS, **options), weights, masked

    def forward(self, x: Tensor) -> Tensor:
        masks = {}
        if "padding" in self.masked:
            masks["key_padding_mask"] = x[..., 0] > 1.5
        if "attn" in self.masked:
            masks["attn_mask"] = torch.ones(x.shape[1], x.shape[1], device=x.device).triu(1).bool()
        y = x if self.attn.batch_first else x.transpose(0, 1)
        y, _ = self.attn(y, y, y, need_weights=self.weights, **masks)
        return y if self.attn.batch_first else y.transpose(0, 1)


def encoder(**options) -> nn.Module:
    return nn.TransformerEncoderLayer(WIDTH, HEADS, 32, 0.1, batch_first=True, **options)


NETS: dict[str, Callable[[], nn.Module]] = {
    "packed": lambda: Net(Residual(Packed()), Residual(Packed())),
    "classic": lambda: Net(Residual(Classic())),
    "separate": lambda: Net(Residual(Separate())),
    "einsum": lambda: Net(Residual(Einsum())),
    "grouped": lambda: Net(Residual(Grouped(native=False))),
    "grouped natively": lambda: Net(Residual(Grouped(native=True))),
    "one pair for all": lambda: Net(Residual(Grouped(native=False, pairs=1))),
    "windows": lambda: Net(Residual(Windows())),
    "cross-covariance": lambda: Net(Residual(Cross())),
    "single": lambda: Net(Residual(Single())),
    "torch": lambda: Net(Residual(Torch(batch_first=True))),
    "torch, weights": lambda: Net(Residual(Torch(weights=True))),
    "torch, separate": lambda: Net(Residual(Torch(kdim=WIDTH, vdim=WIDTH + 0, batch_first=True))),
    "torch, no bias": lambda: Net(Residual(Torch(bias=False, batch_first=True))),
    "torch, more keys": lambda: Net(Residual(Torch(add_bias_kv=True, add_zero_attn=True, batch_first=True))),
    "torch, masks": lambda: Net(Residual(Torch(masked="padding, attn", batch_first=True))),
    "torch, padding": lambda: Net(Residual(Torch(masked="padding", weights=True, batch_first=True))),
    "encoder": lambda: Net(encoder()),
    "encoder, norm first": lambda: Net(encoder(norm_first=True, activation="gelu")),
}  # fmt: skip
EXAMPLE = (2, 16, 8)


class ViT(nn.Module):
    """A vision transformer after Dosovitskiy et al. 2021: patches, a class token, positions, blocks, a head."""

    def __init__(
        self, width: int, depth: int, heads: int, patch: int, size: int, form: type[nn.Module] = Packed
    ) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.positions = nn.Parameter(torch.randn(1, 1 + (size // patch) ** 2, width) * 0.02)
        self.blocks = nn.Sequential(*(Wide(form(width, heads), width) for _ in range(depth)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.positions
        return self.head(self.norm(self.blocks(x))[:, 0])


class Wide(Residual):
    """A block whose MLP has four times the width."""

    def __init__(self, attention: nn.Module, width: int) -> None:
        super().__init__(attention, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
