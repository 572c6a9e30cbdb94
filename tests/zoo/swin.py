"""Attention in windows: Swin (Liu et al. 2021), and the cutting of maps into windows."""

import torch
from torch import Tensor, nn

from tests.zoo.blocks import DropPath, mlp


def windows(x: Tensor, size: int) -> Tensor:
    b, h, w, c = x.shape
    x = x.view(b, h // size, size, w // size, size, c)
    return x.permute(0, 1, 3, 2, 4, 5).reshape(-1, size * size, c)


def unwindowed(x: Tensor, size: int, h: int, w: int) -> Tensor:
    x = x.view(-1, h // size, w // size, size, size, x.shape[-1])
    return x.permute(0, 1, 3, 2, 4, 5).reshape(-1, h, w, x.shape[-1])


class WindowAttention(nn.Module):
    """Liu et al. 2021: attention inside windows with a table of relative positions."""

    def __init__(self, width: int, heads: int, size: int) -> None:
        super().__init__()
        self.num_heads, self.head_dim = heads, width // heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.table = nn.Parameter(torch.randn((2 * size - 1) ** 2, heads))
        places = torch.stack(torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")).flatten(1)
        relative = (places[:, :, None] - places[:, None, :]).permute(1, 2, 0) + size - 1
        self.register_buffer("index", relative[..., 0] * (2 * size - 1) + relative[..., 1])

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        b, n, _ = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4).unbind(0)
        scores = q * self.head_dim**-0.5 @ k.transpose(-2, -1)
        bias = self.table[self.index.view(-1)].view(n, n, self.num_heads).permute(2, 0, 1)
        scores = scores + bias.unsqueeze(0)
        if mask is not None:
            count = mask.shape[0]
            scores = scores.view(b // count, count, self.num_heads, n, n) + mask.unsqueeze(1).unsqueeze(0)
            scores = scores.view(-1, self.num_heads, n, n)
        return self.proj((scores.softmax(-1) @ v).transpose(1, 2).reshape(b, n, self.num_heads * self.head_dim))


class SwinBlock(nn.Module):
    def __init__(self, width: int, heads: int, size: int = 4, shift: int = 0, ratio: int = 2) -> None:
        super().__init__()
        self.size, self.shift, self.drop = size, shift, DropPath()
        self.norm1, self.norm2, self.mlp = nn.LayerNorm(width), nn.LayerNorm(width), mlp(width, ratio * width)
        self.attn = WindowAttention(width, heads, size)

    def _mask(self, x: Tensor) -> Tensor | None:
        if not self.shift:
            return None
        areas, count = x.new_zeros((1, *x.shape[1:3], 1)), 0
        cuts = (slice(0, -self.size), slice(-self.size, -self.shift), slice(-self.shift, None))
        for rows in cuts:
            for columns in cuts:
                areas[:, rows, columns] = count
                count += 1
        areas = windows(areas, self.size).squeeze(-1)
        apart = areas.unsqueeze(1) - areas.unsqueeze(2)
        return apart.masked_fill(apart != 0, -100.0).masked_fill(apart == 0, 0.0)

    def forward(self, x: Tensor) -> Tensor:
        h, w = x.shape[1:3]
        y = self.norm1(x)
        if self.shift:
            y = torch.roll(y, (-self.shift, -self.shift), (1, 2))
        y = unwindowed(self.attn(windows(y, self.size), self._mask(x)), self.size, h, w)
        if self.shift:
            y = torch.roll(y, (self.shift, self.shift), (1, 2))
        x = x + self.drop(y)
        return x + self.drop(self.mlp(self.norm2(x)))


class Merging(nn.Module):
    """Four neighbours become one token of twice the width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.reduction = nn.LayerNorm(4 * width), nn.Linear(4 * width, 2 * width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        parts = [x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]]
        return self.reduction(self.norm(torch.cat(parts, -1)))


class Swin(nn.Module):
    def __init__(self, width: int = 8, depths: tuple[int, ...] = (2, 2), heads: tuple[int, ...] = (2, 4), size: int = 4,
                 patch: int = 4, ratio: int = 2, classes: int = 5) -> None:  # fmt: skip
        super().__init__()
        self.embed, stages = nn.Conv2d(3, width, patch, patch), []
        self.embed_norm = nn.LayerNorm(width)
        for level, (count, parts) in enumerate(zip(depths, heads, strict=True)):
            stages += [Merging(width * 2 ** (level - 1))] if level else []
            shifts = [size // 2 if place % 2 else 0 for place in range(count)]
            stages += [SwinBlock(width * 2**level, parts, size, shift, ratio) for shift in shifts]
        self.stages, last = nn.Sequential(*stages), width * 2 ** (len(depths) - 1)
        self.norm, self.head = nn.LayerNorm(last), nn.Linear(last, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed_norm(self.embed(x).permute(0, 2, 3, 1))
        return self.head(self.norm(self.stages(x)).mean((1, 2)))
