"""A vision transformer as a trunk (Dosovitskiy et al., arXiv 2010.11929), with the small size of DeiT (2012.12877).

Its features are the tokens of the patches, laid out as they lie in the image: after a quarter, a half, three quarters
and all of the blocks, all at 1/patch of the size. The class token takes part and is left out of the features.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from winnow.engine.networks.coupling import Trunk, on_trunk
from winnow.engine.networks.multitask import WithHeads
from winnow.engine.specs.network import VitSpec
from winnow.engine.specs.registry import entry
from winnow.engine.tasks.task import Task

GRID = 14  # places of the position embedding along each side: 224 px in patches of 16
DEPTH, STAGES = 12, 4
EPSILON = 1e-6


class VitSize(NamedTuple):
    """How wide a token is, and how many heads attend."""

    width: int
    heads: int


SIZES: Mapping[str, VitSize] = MappingProxyType({"vit-s": VitSize(384, 6), "vit-b": VitSize(768, 12)})


def build_vit(spec: VitSpec, tasks: Mapping[str, Task], channels: int) -> WithHeads:
    """Return a vision transformer for images of `channels` channels, and a head per task, freshly initialised."""
    size = entry(SIZES, spec.network, "network")
    return on_trunk(spec, tasks, lambda every: VitTrunk(size, channels, spec.patch, every))


class SelfAttention(nn.Module):
    """Multi-head attention of tokens (B, N, C) to each other."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, C) → (B, N, C)."""
        batch, tokens, _ = x.shape
        q, k, v = self.qkv(x).reshape(batch, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        mixed = functional.scaled_dot_product_attention(q, k, v)
        result: Tensor = self.proj(mixed.transpose(1, 2).reshape(batch, tokens, -1))
        return result


class VitBlock(nn.Module):
    """Attention, then two layers for each token; a norm before and a way around each."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(width, EPSILON), SelfAttention(width, heads)
        self.norm2 = nn.LayerNorm(width, EPSILON)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, C) → (B, N, C)."""
        x = x + self.attn(self.norm1(x))
        result: Tensor = x + self.mlp(self.norm2(x))
        return result


class VitTrunk(Trunk):
    """Patches, blocks, and a norm at the end; the position embedding is resized to the patches of the image.

    Raises:
        ValueError: an image whose sides are no multiples of the patch.

    """

    def __init__(self, size: VitSize, channels: int, patch: int, every: bool = False) -> None:
        super().__init__()
        self.patch, self.every, self.widths = patch, every, (size.width,) * STAGES
        self.embed = nn.Conv2d(channels, size.width, patch, patch)
        self.first = nn.Parameter(torch.zeros(1, 1, size.width))
        self.places = nn.Parameter(nn.init.trunc_normal_(torch.empty(1, 1 + GRID * GRID, size.width), std=0.02))
        self.blocks = nn.ModuleList(VitBlock(size.width, size.heads) for _ in range(DEPTH))
        self.norm: nn.Module = nn.LayerNorm(size.width, EPSILON)

    def begin(self, images: Tensor) -> Tensor:
        """Return the tokens (B, 1 + patches, C) of the images, the class token first."""
        height, width = images.shape[-2:]
        if height % self.patch or width % self.patch:
            raise ValueError(
                f"`patch` must divide both sides of the images, got {self.patch} for {height} × {width}. Choose "
                "another patch, or another size of the images."
            )
        patches = self.embed(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.first.expand(len(images), -1, -1), patches], 1)
        return tokens + self._places(height // self.patch, width // self.patch)

    def _places(self, rows: int, columns: int) -> Tensor:
        if (rows, columns) == (GRID, GRID):
            return self.places
        grid = self.places[:, 1:].transpose(1, 2).reshape(1, -1, GRID, GRID)
        fitted = functional.interpolate(grid, size=[rows, columns], mode="bicubic", align_corners=False)
        return torch.cat([self.places[:, :1], fitted.flatten(2).transpose(1, 2)], 1)

    def step(self, stage: int, x: Tensor) -> Tensor:
        """Return the tokens after a quarter of the blocks more."""
        for block in self.blocks[stage * DEPTH // STAGES : (stage + 1) * DEPTH // STAGES]:
            x = block(x)
        return x

    def shown(self, stage: int, x: Tensor, size: torch.Size) -> Tensor:
        """Return the tokens of the patches as (B, C, h, w); those of the last stage after the norm."""
        x = self.norm(x) if stage == STAGES - 1 else x
        rows, columns = size[0] // self.patch, size[1] // self.patch
        return x[:, 1:].transpose(1, 2).reshape(len(x), -1, rows, columns)

    def cut(self, stages: int) -> None:
        """Drop the blocks behind the first `stages` quarters, and the norm that stands behind the last of all."""
        self.widths, self.norm = self.widths[:stages], nn.Identity()
        self.blocks = self.blocks[: stages * DEPTH // STAGES]
