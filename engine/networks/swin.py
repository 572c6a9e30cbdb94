"""Swin-T as a trunk (Liu et al., arXiv 2103.14030): attention inside windows that move by half a window in turns.

Features at 1/4, 1/8, 1/16 and 1/32 of the size. Maps that no whole number of windows covers are padded with zeros below
and to the right, and the padding is cut off again, as torchvision does it; so any size goes through.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from winnow.engine.networks.coupling import Trunk, on_trunk
from winnow.engine.networks.multitask import WithHeads
from winnow.engine.specs.network import SwinTinySpec
from winnow.engine.tasks.task import Task

WINDOW, PATCH, FIRST = 7, 4, 96
DEPTHS, HEADS = (2, 2, 6, 2), (3, 6, 12, 24)
FAR = -100.0  # added to the attention between places that are no neighbours in the image


def build_swin(spec: SwinTinySpec, tasks: Mapping[str, Task], channels: int) -> WithHeads:
    """Return Swin-T for images of `channels` channels, and a head per task, freshly initialised."""
    return on_trunk(spec, tasks, lambda every: SwinTrunk(channels, every))


class WindowAttention(nn.Module):
    """Attention inside windows of a map (B, H, W, C), moved by `shift`; a learned bias for each relative place."""

    def __init__(self, width: int, heads: int, shift: int) -> None:
        super().__init__()
        self.heads, self.shift = heads, shift
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        table = torch.empty((2 * WINDOW - 1) ** 2, heads)
        self.bias = nn.Parameter(nn.init.trunc_normal_(table, std=0.02))
        self.register_buffer("places", relative_places(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) → (B, H, W, C)."""
        batch, height, width, channels = x.shape
        rows, columns = -(-height // WINDOW), -(-width // WINDOW)
        whole = (rows * WINDOW, columns * WINDOW)
        x = functional.pad(x, (0, 0, 0, whole[1] - width, 0, whole[0] - height))
        moved = (0 if rows == 1 else self.shift, 0 if columns == 1 else self.shift)
        if any(moved):
            x = torch.roll(x, (-moved[0], -moved[1]), (1, 2))
        windows = x.reshape(batch, rows, WINDOW, columns, WINDOW, channels).permute(0, 1, 3, 2, 4, 5)
        tokens = windows.reshape(batch * rows * columns, WINDOW * WINDOW, channels)
        mixed = self._attended(tokens, far_apart(whole, moved, x) if any(moved) else None)
        x = mixed.reshape(batch, rows, columns, WINDOW, WINDOW, -1).permute(0, 1, 3, 2, 4, 5)
        x = x.reshape(batch, whole[0], whole[1], -1)
        if any(moved):
            x = torch.roll(x, moved, (1, 2))
        return x[:, :height, :width]

    def _attended(self, tokens: Tensor, apart: Tensor | None) -> Tensor:
        """(B·windows, 49, C) → (B·windows, 49, C); `apart` (windows, 49, 49) is added to the attention."""
        many, places, _ = tokens.shape
        q, k, v = self.qkv(tokens).reshape(many, places, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        index = self.get_buffer("places")
        bias = self.bias[index].reshape(places, places, -1).permute(2, 0, 1)[None]
        if apart is not None:
            repeated = apart[:, None].repeat(many // len(apart), 1, 1, 1)
            bias = bias + repeated
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        result: Tensor = self.proj(mixed.transpose(1, 2).reshape(many, places, -1))
        return result


class SwinBlock(nn.Module):
    """Attention in windows, then two layers for each place; a norm before and a way around each."""

    def __init__(self, width: int, heads: int, shift: int) -> None:
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(width), WindowAttention(width, heads, shift)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) → (B, H, W, C)."""
        x = x + self.attn(self.norm1(x))
        result: Tensor = x + self.mlp(self.norm2(x))
        return result


class Merging(nn.Module):
    """Four neighbours as one place, twice as wide; an odd side is padded with zeros."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.reduction = nn.LayerNorm(4 * width), nn.Linear(4 * width, 2 * width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) → (B, ⌈H/2⌉, ⌈W/2⌉, 2C)."""
        x = functional.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
        parts = [x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]]
        result: Tensor = self.reduction(self.norm(torch.cat(parts, -1)))
        return result


class SwinTrunk(Trunk):
    """Patches of 4 × 4, and four stages of blocks, the first `first` channels wide."""

    def __init__(self, channels: int, every: bool = False, first: int = FIRST) -> None:
        super().__init__()
        self.every, self.widths = every, tuple(first * 2**stage for stage in range(len(DEPTHS)))
        self.embed, self.embed_norm = nn.Conv2d(channels, first, PATCH, PATCH), nn.LayerNorm(first)
        self.merging = nn.ModuleList(Merging(width) for width in self.widths[:-1])
        self.stages = nn.ModuleList(
            nn.Sequential(*(SwinBlock(width, heads, (place % 2) * (WINDOW // 2)) for place in range(depth)))
            for width, heads, depth in zip(self.widths, HEADS, DEPTHS, strict=True)
        )
        self.norm: nn.Module = nn.LayerNorm(self.widths[-1])

    def begin(self, images: Tensor) -> Tensor:
        """Return the patches (B, h, w, C) of the images, padded to whole patches."""
        height, width = images.shape[-2:]
        images = functional.pad(images, (0, -width % PATCH, 0, -height % PATCH))
        x: Tensor = self.embed_norm(self.embed(images).permute(0, 2, 3, 1))
        return x

    def step(self, stage: int, x: Tensor) -> Tensor:
        """Return the places after a stage, merged before it but for the first."""
        x = self.merging[stage - 1](x) if stage else x
        found: Tensor = self.stages[stage](x)
        return found

    def shown(self, stage: int, x: Tensor, size: torch.Size) -> Tensor:
        """Return the places as (B, C, h, w); those of the last stage after the norm."""
        x = self.norm(x) if stage == len(DEPTHS) - 1 else x
        return x.permute(0, 3, 1, 2)

    def cut(self, stages: int) -> None:
        """Drop the stages behind the first `stages`, and the norm that stands behind the last of all."""
        self.widths, self.norm = self.widths[:stages], nn.Identity()
        self.stages, self.merging = self.stages[:stages], self.merging[: stages - 1]


def relative_places() -> Tensor:
    """Return, for each pair of places in a window, the row of the table of biases: (49 · 49,)."""
    side = torch.arange(WINDOW)
    place = torch.stack(torch.meshgrid(side, side, indexing="ij")).flatten(1)
    apart = (place[:, :, None] - place[:, None, :]) + WINDOW - 1
    return (apart[0] * (2 * WINDOW - 1) + apart[1]).flatten()


def far_apart(whole: tuple[int, int], moved: tuple[int, int], like: Tensor) -> Tensor:
    """Return FAR between places of a moved window that come from opposite sides of the map: (windows, 49, 49)."""
    rows, columns = (_part(side, shift, like.device) for side, shift in zip(whole, moved, strict=True))
    parts = 3 * rows[:, None] + columns[None]
    windows = parts.reshape(whole[0] // WINDOW, WINDOW, whole[1] // WINDOW, WINDOW).transpose(1, 2)
    tokens = windows.reshape(-1, WINDOW * WINDOW)
    return torch.where(tokens[:, :, None] == tokens[:, None, :], 0.0, FAR).to(like.dtype)


def _part(side: int, shift: int, device: torch.device) -> Tensor:
    """Return which of three strips each row (or column) belongs to: before the last window, its start, its end."""
    place = torch.arange(side, device=device)
    return (place >= side - WINDOW).long() + (place >= side - shift).long() if shift else torch.zeros_like(place)
