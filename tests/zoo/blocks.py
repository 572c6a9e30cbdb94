"""Parts that the networks of the zoo share: convolutions with a norm, squeeze-excite, residual blocks, attention."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Norm = Callable[[int], nn.Module]


def cba(
    inputs: int, outputs: int, kernel: int = 3, stride: int = 1, act: type | None = nn.ReLU, groups: int = 1, **options
) -> nn.Sequential:
    """A convolution without a bias, a batch norm, an activation."""
    pad = options.get("dilation", 1) * (kernel // 2)
    conv = nn.Conv2d(inputs, outputs, kernel, stride, pad, groups=groups, bias=False, **options)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), *([act()] if act else []))


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, **options) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, options.get("dilation", 1) * (kernel // 2), **options)


def pooled_head(inputs: int, classes: int = 5) -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))


class Lambda(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.function(*inputs)


class Residual(nn.Module):
    """x + f(x), with an optional way around and an optional activation behind."""

    def __init__(self, body: nn.Module, around: nn.Module | None = None, act: nn.Module | None = None) -> None:
        super().__init__()
        self.body, self.around, self.act = body, around or nn.Identity(), act or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.around(x) + self.body(x))


class SqueezeExcite(nn.Module):
    """Hu et al. 2018."""

    def __init__(self, channels: int, inner: int, gate: Callable[[Tensor], Tensor] = torch.sigmoid) -> None:
        super().__init__()
        self.down, self.up, self.gate = nn.Conv2d(channels, inner, 1), nn.Conv2d(inner, channels, 1), gate

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(self.up(F.relu(self.down(x.mean((2, 3), keepdim=True)))))


class DropPath(nn.Module):
    """Stochastic depth, Huang et al. 2016."""

    def __init__(self, rate: float = 0.1) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        kept = x.new_empty((x.shape[0],) + (1,) * (x.dim() - 1)).bernoulli_(1 - self.rate)
        return x * kept / (1 - self.rate)


class LayerScale(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class LayerNorm2d(nn.LayerNorm):
    """A layer norm over the channels of an image."""

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps).permute(
            0, 3, 1, 2
        )


def mlp(width: int, inner: int, outputs: int | None = None, act: type = nn.GELU) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, inner), act(), nn.Dropout(0.1), nn.Linear(inner, outputs or width))


class Attention(nn.Module):
    """Vaswani et al. 2017, with the queries, keys and values of one linear layer, as timm writes it."""

    def __init__(self, width: int, heads: int, fused: bool = True, causal: bool = False) -> None:
        super().__init__()
        self.num_heads, self.head_dim, self.fused, self.causal = heads, width // heads, fused, causal
        self.qkv, self.proj, self.drop = nn.Linear(width, 3 * width), nn.Linear(width, width), nn.Dropout(0.1)

    def forward(self, x: Tensor) -> Tensor:
        b, n, _ = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4).unbind(0)
        if self.fused:
            y = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        else:
            scores = (q * self.head_dim**-0.5) @ k.transpose(-2, -1)
            y = scores.softmax(-1) @ v
        return self.drop(self.proj(y.transpose(1, 2).reshape(b, n, self.num_heads * self.head_dim)))


class CrossAttention(nn.Module):
    """Queries from one sequence, keys and values from another, by three linear layers."""

    def __init__(self, width: int, heads: int, bias: bool = True) -> None:
        super().__init__()
        self.num_heads, self.head_dim = heads, width // heads
        self.q, self.k, self.v, self.out = (nn.Linear(width, width, bias=bias) for _ in range(4))

    def _split(self, x: Tensor) -> Tensor:
        return x.view(x.shape[0], -1, self.num_heads, self.head_dim).transpose(1, 2)

    def forward(self, x: Tensor, other: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        other = x if other is None else other
        q, k, v = self._split(self.q(x)), self._split(self.k(other)), self._split(self.v(other))
        scores = q @ k.mT / self.head_dim**0.5
        if mask is not None:
            scores = scores + mask
        y = scores.softmax(-1) @ v
        return self.out(y.transpose(1, 2).flatten(2))


class TransformerBlock(nn.Module):
    """Norm before each part, around both; layer scale and drop path where asked."""

    def __init__(
        self,
        width: int,
        heads: int,
        ratio: float = 2,
        scale: bool = False,
        attention: Callable[[int, int], nn.Module] = Attention,
        norm: Norm = nn.LayerNorm,
    ) -> None:
        super().__init__()
        self.norm1, self.norm2 = norm(width), norm(width)
        self.attn, self.mlp = attention(width, heads), mlp(width, int(width * ratio))
        self.scale1, self.scale2 = (LayerScale(width) if scale else nn.Identity() for _ in range(2))
        self.drop = DropPath()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop(self.scale1(self.attn(self.norm1(x))))
        return x + self.drop(self.scale2(self.mlp(self.norm2(x))))


causal_attention = partial(Attention, causal=True)


class PatchEmbed(nn.Module):
    """An image as tokens; the map's height and width with them."""

    def __init__(self, inputs: int, width: int, patch: int = 4, kernel: int | None = None) -> None:
        super().__init__()
        kernel = kernel or patch
        self.proj, self.norm = nn.Conv2d(inputs, width, kernel, patch, (kernel - patch + 1) // 2), nn.LayerNorm(width)

    def forward(self, x: Tensor) -> tuple[Tensor, int, int]:
        x = self.proj(x)
        h, w = x.shape[-2:]
        return self.norm(x.flatten(2).transpose(1, 2)), h, w


def to_map(x: Tensor, h: int, w: int) -> Tensor:
    return x.transpose(1, 2).reshape(x.shape[0], -1, h, w)
