"""Transformers of several stages on reduced maps: PVT and SegFormer."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.zoo.blocks import PatchEmbed, cba, conv, to_map


class ReducedAttention(nn.Module):
    """Wang et al. 2021 (PVT, SegFormer): keys and values from a smaller map."""

    def __init__(self, width: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.num_heads, self.head_dim, self.reduction = heads, width // heads, reduction
        self.q, self.kv, self.proj = nn.Linear(width, width), nn.Linear(width, 2 * width), nn.Linear(width, width)
        if reduction > 1:
            self.sr, self.norm = nn.Conv2d(width, width, reduction, reduction), nn.LayerNorm(width)

    def forward(self, x: Tensor, h: int, w: int) -> Tensor:
        b, n, _ = x.shape
        q = self.q(x).reshape(b, n, self.num_heads, self.head_dim).permute(0, 2, 1, 3)
        if self.reduction > 1:
            x = self.norm(self.sr(to_map(x, h, w)).flatten(2).transpose(1, 2))
        kv = self.kv(x).reshape(b, -1, 2, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4)
        y = (q @ kv[0].transpose(-2, -1) * self.head_dim**-0.5).softmax(-1) @ kv[1]
        return self.proj(y.transpose(1, 2).reshape(b, n, self.num_heads * self.head_dim))


class MixFfn(nn.Module):
    """Xie et al. 2021: a depthwise convolution inside the MLP."""

    def __init__(self, width: int, inner: int, deep: bool) -> None:
        super().__init__()
        self.wide, self.narrow = nn.Linear(width, inner), nn.Linear(inner, width)
        self.depthwise = conv(inner, inner, groups=inner) if deep else None

    def forward(self, x: Tensor, h: int, w: int) -> Tensor:
        x = self.wide(x)
        if self.depthwise is not None:
            x = self.depthwise(to_map(x, h, w)).flatten(2).transpose(1, 2)
        return self.narrow(F.gelu(x))


class ReducedBlock(nn.Module):
    def __init__(self, width: int, heads: int, reduction: int, deep: bool) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn, self.ffn = ReducedAttention(width, heads, reduction), MixFfn(width, 2 * width, deep)

    def forward(self, x: Tensor, h: int, w: int) -> Tensor:
        x = x + self.attn(self.norm1(x), h, w)
        return x + self.ffn(self.norm2(x), h, w)


class Pyramid(nn.Module):
    """PVT (Wang 2021) without, SegFormer's encoder (Xie 2021) with the convolution in the MLP; maps of all stages."""

    def __init__(self, widths: tuple[int, ...] = (8, 16), deep: bool = True) -> None:
        super().__init__()
        self.embeds, self.blocks, self.norms = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for level, width in enumerate(widths):
            inputs, patch = (widths[level - 1], 2) if level else (3, 4)
            self.embeds.append(PatchEmbed(inputs, width, patch, 7 if deep and not level else 3 if deep else None))
            self.blocks.append(nn.ModuleList(ReducedBlock(width, 2 * (level + 1), 2 - level, deep) for _ in range(2)))
            self.norms.append(nn.LayerNorm(width))

    def forward(self, x: Tensor) -> list[Tensor]:
        found = []
        for embed, blocks, norm in zip(self.embeds, self.blocks, self.norms, strict=True):
            x, h, w = embed(x)
            for block in blocks:
                x = block(x, h, w)
            x = to_map(norm(x), h, w)
            found.append(x)
        return found


class Pvt(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = Pyramid(deep=False), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x)[-1].mean((2, 3)))


class SegFormer(nn.Module):
    """Xie et al. 2021: linear layers bring all stages to one width, resized, concatenated, fused."""

    def __init__(self, tasks: tuple[int, ...] = (4,)) -> None:
        super().__init__()
        self.encoder, self.linears = Pyramid(), nn.ModuleList(nn.Linear(w, 10) for w in (8, 16))
        self.fuse, self.drop = cba(20, 10, 1), nn.Dropout2d(0.1)
        self.heads = nn.ModuleList(nn.Conv2d(10, n, 1) for n in tasks)

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = self.encoder(x)
        size, found = maps[0].shape[2:], []
        for linear, part in zip(self.linears, maps, strict=True):
            y = to_map(linear(part.flatten(2).transpose(1, 2)), *part.shape[2:])
            found.append(F.interpolate(y, size=size, mode="bilinear", align_corners=False))
        y = self.drop(self.fuse(torch.cat(found[::-1], dim=1)))
        return [F.interpolate(head(y), size=x.shape[2:], mode="bilinear") for head in self.heads]
