"""Vision transformers, small, each after its paper."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.zoo.blocks import (
    Attention,
    CrossAttention,
    PatchEmbed,
    TransformerBlock,
    cba,
    conv,
    mlp,
    to_map,
)  # fmt: skip
from tests.zoo.pyramids import ReducedBlock
from tests.zoo.swin import SwinBlock, unwindowed, windows


class ViT(nn.Module):
    """Dosovitskiy et al. 2021; distilled: DeiT (Touvron 2021); registers and layer scale: DINOv2."""

    def __init__(
        self, width: int = 16, heads: int = 4, depth: int = 2, size: int = 32, patch: int = 8, classes: int = 5,
        extra: int = 0, scale: bool = False, ratio: float = 2, fused: bool = True, distilled: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.embed, tokens = nn.Conv2d(3, width, patch, patch), (size // patch) ** 2
        self.first = nn.Parameter(torch.randn(1, 1 + extra, width) * 0.02)
        self.place = nn.Parameter(torch.randn(1, tokens, width) * 0.02)
        attention = lambda w, h: Attention(w, h, fused)  # noqa: E731
        self.blocks = nn.Sequential(*(TransformerBlock(width, heads, ratio, scale, attention) for _ in range(depth)))
        self.norm, self.head, self.extra = nn.LayerNorm(width), nn.Linear(width, classes), extra
        self.other = nn.Linear(width, classes) if distilled else None

    def tokens(self, x: Tensor) -> Tensor:
        x = self.embed(x).flatten(2).transpose(1, 2) + self.place
        return self.norm(self.blocks(torch.cat([self.first.expand(x.shape[0], -1, -1), x], dim=1)))

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        x = self.tokens(x)
        if self.other is None:
            return self.head(x[:, 0])
        both = self.head(x[:, 0]), self.other(x[:, 1])
        return both if self.training else (both[0] + both[1]) / 2


class Dino(ViT):
    """DINOv2: a class token, registers and patch tokens as outputs, positions resized to the image."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        y = self.embed(x)
        side = int(self.place.shape[1] ** 0.5)
        grid = self.place.reshape(1, side, side, -1).permute(0, 3, 1, 2)
        grid = F.interpolate(grid, size=y.shape[-2:], mode="bicubic", align_corners=False)
        y = (y + grid).flatten(2).transpose(1, 2)
        y = self.norm(self.blocks(torch.cat([self.first.expand(len(y), -1, -1), y], 1)))
        return {"class": self.head(y[:, 0]), "patches": self.head(y[:, 1 + self.extra :])}


class TalkingHeads(nn.Module):
    """Shazeer et al. 2020, as CaiT uses it: linear maps over the heads before and behind the softmax."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.num_heads, self.scale = heads, (width // heads) ** -0.5
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.before, self.behind = nn.Linear(heads, heads), nn.Linear(heads, heads)

    def forward(self, x: Tensor) -> Tensor:
        b, n, c = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.num_heads, c // self.num_heads).permute(2, 0, 3, 1, 4)
        scores = (q @ k.mT) * self.scale
        scores = self.before(scores.permute(0, 2, 3, 1)).softmax(-2)
        return self.proj((self.behind(scores).permute(0, 3, 1, 2) @ v).transpose(1, 2).reshape(b, n, c))


class CaiT(nn.Module):
    """Touvron et al. 2021: the class token enters late and reads the patches alone."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.embed, self.token = PatchEmbed(3, width, 8), nn.Parameter(torch.randn(1, 1, width))
        self.blocks = nn.Sequential(*(TransformerBlock(width, 4, 2, True, TalkingHeads) for _ in range(2)))
        self.norm1, self.norm2, self.norm = (nn.LayerNorm(width) for _ in range(3))
        self.read, self.mlp, self.head = CrossAttention(width, 4), mlp(width, 24), nn.Linear(width, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.embed(x)[0])
        token = self.token.expand(len(x), -1, -1)
        token = token + self.read(self.norm1(token), self.norm1(torch.cat([token, x], 1)))
        token = token + self.mlp(self.norm2(token))
        return self.head(self.norm(token)[:, 0])


class Twins(nn.Module):
    """Chu et al. 2021: windows, then reduced attention, positions by a depthwise convolution."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.embed, self.local, self.wide = (
            PatchEmbed(3, width, 4),
            SwinBlock(width, 2),
            ReducedBlock(width, 2, 2, False),
        )
        self.peg, self.norm, self.head = conv(width, width, groups=width), nn.LayerNorm(width), nn.Linear(width, 5)

    def forward(self, x: Tensor) -> Tensor:
        x, h, w = self.embed(x)
        x = self.local(x.view(x.shape[0], h, w, -1)).flatten(1, 2)
        image = to_map(x, h, w)
        x = (self.peg(image) + image).flatten(2).transpose(1, 2)
        return self.head(self.norm(self.wide(x, h, w)).mean(1))


class CvT(nn.Module):
    """Wu et al. 2021: queries, keys and values by depthwise convolutions with a norm."""

    def __init__(self, width: int = 8, heads: int = 2) -> None:
        super().__init__()
        self.embed, self.num_heads, self.head_dim = PatchEmbed(3, width, 4, 7), heads, width // heads
        convs = lambda s: nn.Sequential(conv(width, width, 3, s, groups=width, bias=False), nn.BatchNorm2d(width))  # noqa: E731
        self.conv_q, self.conv_k, self.conv_v = convs(1), convs(2), convs(2)
        self.q, self.k, self.v, self.proj = (nn.Linear(width, width) for _ in range(4))
        self.norm1, self.norm2, self.mlp, self.head = (
            nn.LayerNorm(width),
            nn.LayerNorm(width),
            mlp(width, 16),
            nn.Linear(width, 5),
        )

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        x, h, w = self.embed(x)
        image = to_map(self.norm1(x), h, w)
        q, k, v = (
            f(c(image).flatten(2).mT) for f, c in ((self.q, self.conv_q), (self.k, self.conv_k), (self.v, self.conv_v))
        )
        y = F.scaled_dot_product_attention(self._heads(q), self._heads(k), self._heads(v))
        x = x + self.proj(y.transpose(1, 2).flatten(2))
        return self.head((x + self.mlp(self.norm2(x))).mean(1))


class MaxViT(nn.Module):
    """Tu et al. 2022: a block of MobileNet, attention in windows, then over a grid."""

    def __init__(self, width: int = 12, size: int = 4) -> None:
        super().__init__()
        self.stem, self.size = cba(3, width, 3, 2, nn.GELU), size
        self.mb = nn.Sequential(nn.BatchNorm2d(width), cba(width, 20, 1), cba(20, 20, groups=20), conv(20, width, 1))
        self.local, self.grid = TransformerBlock(width, 3, 2), TransformerBlock(width, 3, 2)
        self.head = nn.Linear(width, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = (x + self.mb(x)).permute(0, 2, 3, 1)
        h, w = x.shape[1:3]
        x = unwindowed(self.local(windows(x, self.size)), self.size, h, w)
        x = x.permute(0, 2, 1, 3)
        return self.head(unwindowed(self.grid(windows(x, self.size)), self.size, w, h).mean((1, 2)))


class Clip(nn.Module):
    """Radford et al. 2021: an image tower and a text tower, compared by the cosine of their embeddings."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.image, self.words = ViT(width, classes=8), nn.Embedding(30, width)
        self.place, self.text = (
            nn.Parameter(torch.randn(12, width)),
            nn.Sequential(*(TransformerBlock(width, 4) for _ in range(2))),
        )
        self.norm, self.project = nn.LayerNorm(width), nn.Linear(width, 8, bias=False)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(10.0)))

    def forward(self, image: Tensor, text: Tensor) -> Tensor:
        seen = F.normalize(self.image(image), dim=-1)
        read = self.text(self.words(text) + self.place[: text.shape[1]])
        read = F.normalize(self.project(self.norm(read)[:, -1]), dim=-1)
        return self.logit_scale.exp() * seen @ read.t()


class MobileViT(nn.Module):
    """Mehta & Rastegari 2022: a map unfolded into patches, transformers, folded back, fused with the map."""

    def __init__(self, width: int = 8, inner: int = 12) -> None:
        super().__init__()
        self.stem, self.local = cba(3, width, 3, 2), nn.Sequential(cba(width, width), conv(width, inner, 1, bias=False))
        self.blocks, self.back = nn.Sequential(TransformerBlock(inner, 3), nn.LayerNorm(inner)), cba(inner, width, 1)
        self.fuse, self.head = cba(2 * width, width), nn.Linear(width, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y = self.local(x)
        b, c, h, w = y.shape
        y = y.reshape(b, c, h // 2, 2, w // 2, 2).permute(0, 3, 5, 2, 4, 1).reshape(b * 4, (h // 2) * (w // 2), c)
        y = self.blocks(y).reshape(b, 2, 2, h // 2, w // 2, c).permute(0, 5, 3, 1, 4, 2).reshape(b, c, h, w)
        return self.head(self.fuse(torch.cat([x, self.back(y)], 1)).mean((2, 3)))


class XCiT(nn.Module):
    """El-Nouby et al. 2021: attention between channels."""

    def __init__(self, width: int = 12, heads: int = 3) -> None:
        super().__init__()
        self.embed, self.norm, self.num_heads = PatchEmbed(3, width, 8), nn.LayerNorm(width), heads
        self.qkv, self.proj, self.head = nn.Linear(width, 3 * width), nn.Linear(width, width), nn.Linear(width, 5)
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)[0]
        b, n, c = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(b, n, 3, self.num_heads, -1).permute(2, 0, 3, 4, 1)
        scores = F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1) * self.temperature
        x = x + self.proj((scores.softmax(-1) @ v).permute(0, 3, 1, 2).reshape(b, n, c))
        return self.head(x.mean(1))


def encoder() -> nn.Module:
    """torch's own layers."""
    layer = nn.TransformerEncoderLayer(16, 4, 24, 0.1, "gelu", batch_first=True, norm_first=True)
    return nn.Sequential(nn.Linear(6, 16), nn.TransformerEncoder(layer, 2, nn.LayerNorm(16), False), nn.Linear(16, 4))
