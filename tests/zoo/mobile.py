"""Networks for small machines and their heirs: MobileNet to EfficientNet, ShuffleNet, GhostNet, ConvNeXt, mixers."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.zoo.blocks import DropPath, LayerNorm2d, LayerScale, Residual, SqueezeExcite, cba, conv, mlp, pooled_head


def mobilenet_v1() -> nn.Module:
    """Howard et al. 2017."""

    def separable(inputs: int, outputs: int, stride: int = 1) -> list[nn.Module]:
        return [cba(inputs, inputs, 3, stride, groups=inputs), cba(inputs, outputs, 1)]

    body = [*separable(6, 8), *separable(8, 12, 2), *separable(12, 12), *separable(12, 16, 2)]
    return nn.Sequential(cba(3, 6, 3, 2), *body, pooled_head(16))


def inverted(
    inputs: int, outputs: int, stride: int = 1, ratio: int = 2, act: type = nn.ReLU6, excite: bool = False,
    fused: bool = False,
) -> nn.Module:  # fmt: skip
    """Sandler et al. 2018: widen, depthwise, narrow; fused as in EfficientNet v2."""
    inner = inputs * ratio
    first = [cba(inputs, inner, 3, stride, act)] if fused else [
        cba(inputs, inner, 1, act=act), cba(inner, inner, 3, stride, act, groups=inner)
    ]  # fmt: skip
    gate = [SqueezeExcite(inner, 4, F.hardsigmoid if act is nn.Hardswish else torch.sigmoid)] if excite else []
    body = nn.Sequential(*first, *gate, cba(inner, outputs, 1, act=None), DropPath())
    return Residual(body) if stride == 1 and inputs == outputs else body


def mobilenet_v2() -> nn.Module:
    body = [inverted(6, 8), inverted(8, 8), inverted(8, 12, 2), inverted(12, 12, 1, 3)]
    return nn.Sequential(cba(3, 6, 3, 2, nn.ReLU6), *body, cba(12, 20, 1, act=nn.ReLU6), pooled_head(20))


def mobilenet_v3() -> nn.Module:
    """Howard et al. 2019."""
    swish = nn.Hardswish
    body = [inverted(6, 8, 1, 2, nn.ReLU, True), inverted(8, 10, 2, 2, swish), inverted(10, 10, 1, 2, swish, True)]
    head = [
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 20),
        nn.Hardswish(True),
        nn.Dropout(),
        nn.Linear(20, 5),
    ]
    return nn.Sequential(cba(3, 6, 3, 2, swish), *body, cba(10, 16, 1, act=swish), *head)


def mnasnet() -> nn.Module:
    """Tan et al. 2019."""
    body = [inverted(6, 8, 1, 3, nn.ReLU), inverted(8, 8, 1, 3, nn.ReLU), inverted(8, 12, 2, 2, nn.ReLU, True)]
    return nn.Sequential(cba(3, 6, 3, 2), cba(6, 6, groups=6), *body, pooled_head(12))


def efficientnet(version: int) -> nn.Module:
    """Tan & Le 2019 and 2021."""
    fused = version == 2
    body = [inverted(6, 6, 1, 2, nn.SiLU, not fused, fused), inverted(6, 10, 2, 2, nn.SiLU, not fused, fused)]
    body += [inverted(10, 10, 1, 3, nn.SiLU, True), inverted(10, 12, 2, 2, nn.SiLU, True)]
    return nn.Sequential(cba(3, 6, 3, 2, nn.SiLU), *body, cba(12, 16, 1, act=nn.SiLU), pooled_head(16))


class ShuffleUnit(nn.Module):
    """Zhang et al. 2018: grouped 1×1 convolutions with a shuffle between them."""

    def __init__(self, width: int, inner: int, groups: int = 2) -> None:
        super().__init__()
        self.groups = groups
        self.first, self.depthwise = cba(width, inner, 1, groups=groups), cba(inner, inner, act=None, groups=inner)
        self.last = cba(inner, width, 1, act=None, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.last(self.depthwise(shuffled(self.first(x), self.groups))))


def shuffled(x: Tensor, groups: int) -> Tensor:
    b, c, h, w = x.shape
    return x.view(b, groups, c // groups, h, w).transpose(1, 2).reshape(b, c, h, w)


def shufflenet_v1() -> nn.Module:
    return nn.Sequential(cba(3, 8, 3, 2), ShuffleUnit(8, 8), ShuffleUnit(8, 12), pooled_head(8))


class ShuffleNetV2(nn.Module):
    """Ma et al. 2018: half of the channels goes around, then a shuffle."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = cba(3, 12, 3, 2), nn.Sequential(cba(12, 16, 1), pooled_head(16))
        self.units = nn.ModuleList(
            nn.Sequential(cba(6, 8, 1), cba(8, 8, act=None, groups=8), cba(8, 6, 1)) for _ in range(2)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for unit in self.units:
            left, right = x.chunk(2, dim=1)
            x = shuffled(torch.cat((left, unit(right)), dim=1), 2)
        return self.head(x)


class Ghost(nn.Module):
    """Han et al. 2020: half of the channels is made of the other half by cheap operations."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.primary, self.cheap = cba(inputs, outputs // 2, 1), cba(outputs // 2, outputs // 2, groups=outputs // 2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.primary(x)
        return torch.cat([y, self.cheap(y)], 1)


def ghostnet() -> nn.Module:
    blocks = [Residual(nn.Sequential(Ghost(8, 12), SqueezeExcite(12, 4), Ghost(12, 8))) for _ in range(2)]
    return nn.Sequential(cba(3, 8, 3, 2), *blocks, pooled_head(8))


class Grn(nn.Module):
    """Global response normalisation, Woo et al. 2023."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma, self.beta = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        size = torch.norm(x, p=2, dim=(1, 2), keepdim=True)
        return self.gamma * (x * (size / (size.mean(-1, keepdim=True) + 1e-6))) + self.beta + x


class ConvNextBlock(nn.Module):
    """Liu et al. 2022; with a response norm in the place of layer scale, v2 (Woo et al. 2023)."""

    def __init__(self, width: int, version: int = 1) -> None:
        super().__init__()
        self.depthwise, self.norm = conv(width, width, 7, groups=width), nn.LayerNorm(width)
        self.wide, self.narrow = nn.Linear(width, 3 * width), nn.Linear(3 * width, width)
        self.grn = Grn(3 * width) if version == 2 else nn.Identity()
        self.scale, self.drop = LayerScale(width) if version == 1 else nn.Identity(), DropPath()

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.scale(self.narrow(self.grn(F.gelu(self.wide(y)))))
        return x + self.drop(y.permute(0, 3, 1, 2))


def convnext(version: int = 1) -> nn.Module:
    down = nn.Sequential(LayerNorm2d(8), nn.Conv2d(8, 12, 2, 2))
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(12), nn.Linear(12, 5))
    blocks = [ConvNextBlock(8, version), ConvNextBlock(8, version), down, ConvNextBlock(12, version)]
    return nn.Sequential(nn.Conv2d(3, 8, 4, 4), LayerNorm2d(8), *blocks, head)


def convmixer() -> nn.Module:
    """Trockman & Kolter 2022."""

    def normed(layer: nn.Module, width: int = 10) -> nn.Sequential:
        return nn.Sequential(layer, nn.GELU(), nn.BatchNorm2d(width))

    blocks = [m for _ in range(2) for m in (Residual(normed(conv(10, 10, 5, groups=10))), normed(conv(10, 10, 1)))]
    return nn.Sequential(normed(nn.Conv2d(3, 10, 4, 4)), *blocks, pooled_head(10))


class Patches(nn.Module):
    """An image as 16 tokens, blocks, the mean of the tokens, a class."""

    def __init__(self, blocks: list[nn.Module], width: int = 12, norm: bool = True) -> None:
        super().__init__()
        self.embed, self.blocks = nn.Conv2d(3, width, 8, 8), nn.Sequential(*blocks)
        self.norm, self.head = nn.LayerNorm(width) if norm else nn.Identity(), nn.Linear(width, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.blocks(self.embed(x).flatten(2).transpose(1, 2))).mean(1))


class MixerBlock(nn.Module):
    """Tolstikhin et al. 2021."""

    def __init__(self, width: int = 12, tokens: int = 16) -> None:
        super().__init__()
        self.norm1, self.tokens, self.norm2, self.channels = (
            nn.LayerNorm(width), mlp(tokens, 10), nn.LayerNorm(width), mlp(width, 20)
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.tokens(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        return x + self.channels(self.norm2(x))


class Affine(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.alpha, self.beta = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        return self.alpha * x + self.beta


class ResMlpBlock(nn.Module):
    """Touvron et al. 2022: no norms, an affine map of each channel."""

    def __init__(self, width: int = 12, tokens: int = 16) -> None:
        super().__init__()
        self.one, self.two, self.mix, self.mlp = Affine(width), Affine(width), nn.Linear(tokens, tokens), mlp(width, 20)
        self.scale1, self.scale2 = LayerScale(width), LayerScale(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.scale1(self.mix(self.one(x).transpose(1, 2)).transpose(1, 2))
        return x + self.scale2(self.mlp(self.two(x)))


class GatedMlp(nn.Module):
    """Liu et al. 2021: a spatial gate of half of the channels."""

    def __init__(self, width: int = 12, tokens: int = 16, inner: int = 16) -> None:
        super().__init__()
        self.norm, self.wide, self.narrow = nn.LayerNorm(width), nn.Linear(width, inner), nn.Linear(inner // 2, width)
        self.gate_norm, self.gate = nn.LayerNorm(inner // 2), nn.Linear(tokens, tokens)

    def forward(self, x: Tensor) -> Tensor:
        one, two = F.gelu(self.wide(self.norm(x))).chunk(2, dim=-1)
        return x + self.narrow(one * self.gate(self.gate_norm(two).transpose(1, 2)).transpose(1, 2))


class PoolFormerBlock(nn.Module):
    """Yu et al. 2022: pooling in the place of attention, group norms."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(1, width), nn.GroupNorm(1, width)
        self.pool, self.mlp = (
            nn.AvgPool2d(3, 1, 1, count_include_pad=False),
            nn.Sequential(conv(width, 2 * width, 1), nn.GELU(), conv(2 * width, width, 1)),
        )
        self.scale = nn.Parameter(torch.ones(width, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        x = x + self.scale * (self.pool(y) - y)
        return x + self.mlp(self.norm2(x))


def poolformer() -> nn.Module:
    blocks = [PoolFormerBlock(8), conv(8, 12, 3, 2), PoolFormerBlock(12)]
    return nn.Sequential(conv(3, 8, 7, 4), *blocks, nn.GroupNorm(1, 12), pooled_head(12))


class RepVggBlock(nn.Module):
    """Ding et al. 2021: three ways summed, each with its norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.three, self.one, self.none = (
            cba(width, width, act=None),
            cba(width, width, 1, act=None),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.three(x) + self.one(x) + self.none(x))


def repvgg() -> nn.Module:
    return nn.Sequential(cba(3, 8, 3, 2), RepVggBlock(8), cba(8, 12, 3, 2), RepVggBlock(12), pooled_head(12))


class Cbam(nn.Module):
    """Woo et al. 2018: attention over channels, then over places by the maximum and mean of the channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp, self.spatial = nn.Sequential(conv(width, 4, 1), nn.ReLU(), conv(4, width, 1)), conv(2, 1, 7)

    def forward(self, x: Tensor) -> Tensor:
        x = x * torch.sigmoid(self.mlp(F.adaptive_avg_pool2d(x, 1)) + self.mlp(F.adaptive_max_pool2d(x, 1)))
        return x * self.spatial(torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)).sigmoid()


class Eca(nn.Module):
    """Wang et al. 2020: a convolution along the channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 1, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x.mean((2, 3)).unsqueeze(1)).squeeze(1)
        return x * y.sigmoid()[:, :, None, None]


def attended(gate: nn.Module) -> nn.Module:
    """A small residual net with a gate in its block."""
    return nn.Sequential(
        cba(3, 8, 3, 2), Residual(nn.Sequential(cba(8, 12), conv(12, 8), gate)), cba(8, 10), pooled_head(10)
    )
