"""Convolutional classifiers, small: from AlexNet to RegNet, each after its paper."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.zoo.blocks import Residual, SqueezeExcite, cba, conv, pooled_head


def alexnet() -> nn.Module:
    """Krizhevsky et al. 2012."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 5, 2, 2), nn.ReLU(True), nn.LocalResponseNorm(3), nn.MaxPool2d(3, 2),
        nn.Conv2d(8, 12, 5, padding=2), nn.ReLU(True), nn.MaxPool2d(3, 2), conv(12, 16), nn.ReLU(True),
        conv(16, 12), nn.ReLU(True), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(), nn.Linear(48, 24),
        nn.ReLU(True), nn.Dropout(), nn.Linear(24, 16), nn.ReLU(True), nn.Linear(16, 5),
    )  # fmt: skip


def alexnet_without_lrn() -> nn.Module:
    """As torchvision's."""
    return nn.Sequential(*(layer for layer in alexnet() if not isinstance(layer, nn.LocalResponseNorm)))


def vgg(plan: tuple[int | str, ...], norm: bool) -> nn.Module:
    """Simonyan & Zisserman 2015."""
    layers: list[nn.Module] = []
    width = 3
    for step in plan:
        if isinstance(step, str):
            layers.append(nn.MaxPool2d(2))
            continue
        layers += [conv(width, step), *([nn.BatchNorm2d(step)] if norm else []), nn.ReLU(True)]
        width = step
    head = [nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * width, 20), nn.ReLU(True), nn.Dropout()]
    return nn.Sequential(*layers, *head, nn.Linear(20, 5))


VGG11 = (8, "M", 12, "M", 16, 16, "M", 16, 16)
VGG16 = (8, 8, "M", 12, 12, "M", 16, 16, 16, "M", 16, 16, 16)


class ResNet(nn.Module):
    """He et al. 2016; wide (Zagoruyko 2016), ResNeXt (Xie 2017), D (He 2019) and SE (Hu 2018) by options."""

    def __init__(self, blocks: tuple[int, ...], bottleneck: bool = False, **options: Any) -> None:
        super().__init__()
        self.options, width = options, options.get("width", 8)
        deep = [cba(3, 6, 3, 2), cba(6, 6), cba(6, width)] if options.get("deep") else [cba(3, width, 7, 2)]
        self.stem, self.pool = nn.Sequential(*deep), nn.MaxPool2d(3, 2, 1)
        self.layers, inputs = nn.ModuleList(), width
        for level, count in enumerate(blocks):
            stage = []
            for place in range(count):
                outputs = min(width * 2**level, 16) * (2 if bottleneck else 1)
                stage.append(self._block(inputs, outputs, 2 if level and not place else 1, bottleneck))
                inputs = outputs
            self.layers.append(nn.Sequential(*stage))
        self.fc = nn.Linear(inputs, 5)

    def _block(self, inputs: int, outputs: int, stride: int, bottleneck: bool) -> nn.Module:
        wide, groups = self.options.get("wide", 1), self.options.get("groups", 1)
        inner = outputs * wide // (2 if bottleneck else 1)
        if bottleneck:
            body = [
                cba(inputs, inner, 1),
                cba(inner, inner, 3, stride, groups=groups),
                cba(inner, outputs, 1, act=None),
            ]
        else:
            body = [cba(inputs, inner, 3, stride), cba(inner, outputs, act=None)]
        if self.options.get("excite"):
            body.append(SqueezeExcite(outputs, 4))
        around = None
        if stride > 1 or inputs != outputs:
            pool = [nn.AvgPool2d(stride, ceil_mode=True)] if self.options.get("deep") else []
            around = nn.Sequential(*pool, cba(inputs, outputs, 1, 1 if pool else stride, act=None))
        return Residual(nn.Sequential(*body), around, nn.ReLU(inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.stem(x))
        for layer in self.layers:
            x = layer(x)
        return self.fc(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


class PreActivation(nn.Module):
    """He et al. 2016, identity mappings."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(3, 8)
        self.blocks = nn.Sequential(
            *(Residual(nn.Sequential(*self._half(8, 12), *self._half(12, 8))) for _ in range(3)),
            *self._half(8, 16),
        )
        self.head = nn.Sequential(nn.BatchNorm2d(16), nn.ReLU(), pooled_head(16))

    def _half(self, inputs: int, outputs: int) -> list[nn.Module]:
        return [nn.BatchNorm2d(inputs), nn.ReLU(), conv(inputs, outputs, bias=False)]

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.stem(x)))


class CifarResNet(nn.Module):
    """He et al. 2016 with shortcuts of option A: a smaller map, padded with zero channels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.one, self.two = cba(3, 6), self._body(6, 6, 1), self._body(6, 10, 2)
        self.head = pooled_head(10)

    def _body(self, inputs: int, outputs: int, stride: int) -> nn.Module:
        return nn.Sequential(cba(inputs, outputs, 3, stride), cba(outputs, outputs, act=None))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = F.relu(x + self.one(x))
        return self.head(F.relu(F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2)) + self.two(x)))


class DenseNet(nn.Module):
    """Huang et al. 2017."""

    def __init__(self, layers: tuple[int, ...] = (3, 3), growth: int = 4) -> None:
        super().__init__()
        self.stem, width, steps = conv(3, 8), 8, []
        for level, count in enumerate(layers):
            for _ in range(count):
                steps.append(_DenseLayer(width, growth))
                width += growth
            if level + 1 < len(layers):
                mix = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(), conv(width, width // 2, 1), nn.AvgPool2d(2))
                steps.append(mix)
                width //= 2
        self.body = nn.Sequential(*steps, nn.BatchNorm2d(width), nn.ReLU())
        self.head = pooled_head(width)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(self.stem(x)))


class _DenseLayer(nn.Module):
    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(inputs), conv(inputs, 2 * growth, 1, bias=False)
        self.norm2, self.conv2 = nn.BatchNorm2d(2 * growth), conv(2 * growth, growth, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(F.relu(self.norm2(self.conv1(F.relu(self.norm1(x))))))
        return torch.cat([x, F.dropout(y, 0.1, training=self.training)], 1)


class Branches(nn.Module):
    """Ways side by side, concatenated: the Inception module."""

    def __init__(self, *ways: nn.Module) -> None:
        super().__init__()
        self.ways = nn.ModuleList(ways)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([way(x) for way in self.ways], dim=1)


def _inception(inputs: int, norm: bool = False) -> Branches:
    def unit(i: int, o: int, k: int = 1) -> nn.Module:
        return cba(i, o, k) if norm else nn.Sequential(conv(i, o, k), nn.ReLU(True))

    three, five = nn.Sequential(unit(inputs, 4), unit(4, 6, 3)), nn.Sequential(unit(inputs, 3), unit(3, 4, 5))
    return Branches(unit(inputs, 4), three, five, nn.Sequential(nn.MaxPool2d(3, 1, 1), unit(inputs, 3)))


class GoogLeNet(nn.Module):
    """Szegedy et al. 2015, with its auxiliary classifier in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.a, self.b = nn.Sequential(cba(3, 8, 3, 2), cba(8, 10)), _inception(10), _inception(17)
        self.aux, self.head = nn.Sequential(conv(17, 6, 1), nn.ReLU(), pooled_head(6)), pooled_head(17)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        y = self.a(self.stem(x))
        out = self.head(self.b(F.max_pool2d(y, 3, 2, 1)))
        return (out, self.aux(y)) if self.training else out


def inception_v3() -> nn.Module:
    """Szegedy et al. 2016: factorised kernels and a reduction."""
    factorised = nn.Sequential(
        cba(17, 6, 1), nn.Conv2d(6, 6, (1, 7), padding=(0, 3)), nn.Conv2d(6, 8, (7, 1), 1, (3, 0))
    )
    reduction = Branches(cba(17, 8, 3, 2), nn.Sequential(cba(17, 6, 1), cba(6, 8, 3, 2)), nn.MaxPool2d(3, 2, 1))
    split = Branches(factorised, cba(17, 9, 1))
    return nn.Sequential(cba(3, 10, 3, 2), _inception(10, True), split, reduction, pooled_head(33))


def squeezenet() -> nn.Module:
    """Iandola et al. 2016."""

    def fire(inputs: int, squeeze: int, expand: int) -> nn.Module:
        ways = Branches(*(nn.Sequential(conv(squeeze, expand, k), nn.ReLU(True)) for k in (1, 3)))
        return nn.Sequential(conv(inputs, squeeze, 1), nn.ReLU(True), ways)

    body = [nn.Conv2d(3, 8, 3, 2), nn.ReLU(True), nn.MaxPool2d(3, 2, ceil_mode=True), fire(8, 4, 6), fire(12, 4, 8)]
    return nn.Sequential(*body, nn.Dropout(0.5), conv(16, 5, 1), nn.ReLU(True), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def xception() -> nn.Module:
    """Chollet 2017: separable convolutions between residual sums."""

    def separable(inputs: int, outputs: int) -> list[nn.Module]:
        return [
            conv(inputs, inputs, groups=inputs, bias=False),
            conv(inputs, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        ]

    entry = Residual(
        nn.Sequential(*separable(8, 12), nn.ReLU(), *separable(12, 12), nn.MaxPool2d(3, 2, 1)), cba(8, 12, 1, 2, None)
    )
    middle = [Residual(nn.Sequential(nn.ReLU(), *separable(12, 12), nn.ReLU(), *separable(12, 12))) for _ in range(2)]
    return nn.Sequential(cba(3, 8, 3, 2), entry, *middle, pooled_head(12))


class Darknet(nn.Module):
    """Redmon & Farhadi 2018, with cross-stage parts (Wang et al. 2020): half of the channels goes around."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.down = cba(3, 8, act=nn.SiLU), cba(8, 16, 3, 2, nn.SiLU)
        self.inner = nn.Sequential(*(Residual(nn.Sequential(cba(8, 6, 1), cba(6, 8))) for _ in range(2)))
        self.mix, self.head = cba(16, 12, 1), pooled_head(12)

    def forward(self, x: Tensor) -> Tensor:
        one, two = self.down(self.stem(x)).chunk(2, 1)
        return self.head(self.mix(torch.cat((one, self.inner(two)), 1)))


def regnet(excite: bool) -> nn.Module:
    """Radosavovic et al. 2020: grouped bottlenecks of one width, Y with squeeze-excite."""

    def block(inputs: int, outputs: int, stride: int) -> nn.Module:
        parts = [cba(inputs, outputs, 1), cba(outputs, outputs, 3, stride, groups=outputs // 4)]
        parts += [SqueezeExcite(outputs, 4)] if excite else []
        around = cba(inputs, outputs, 1, stride, None) if stride > 1 or inputs != outputs else None
        return Residual(nn.Sequential(*parts, cba(outputs, outputs, 1, act=None)), around, nn.ReLU(True))

    return nn.Sequential(cba(3, 8, 3, 2), block(8, 12, 2), block(12, 12, 1), block(12, 16, 2), pooled_head(16))


class Res2Net(nn.Module):
    """Gao et al. 2021: a part of the channels is the input of the next part's convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.wide, self.narrow = cba(3, 12), cba(12, 16, 1), cba(16, 12, 1, act=None)
        self.convs, self.head = nn.ModuleList(cba(4, 4) for _ in range(3)), pooled_head(12)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        first, *rest = self.wide(x).split(4, 1)
        found, last = [first], None
        for layer, part in zip(self.convs, rest, strict=True):
            last = layer(part if last is None else part + last)
            found.append(last)
        return self.head(F.relu(x + self.narrow(torch.cat(found, 1))))


class SelectiveKernel(nn.Module):
    """Li et al. 2019: a softmax over two kernels, channel by channel."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.three, self.five = cba(3, 8), cba(8, 10), cba(8, 10, 5)
        self.squeeze, self.select, self.head = nn.Linear(10, 6), nn.Linear(6, 20), pooled_head(10)

    def forward(self, x: Tensor) -> Tensor:
        ways = torch.stack([self.three(y := self.stem(x)), self.five(y)], 1)
        scores = self.select(F.relu(self.squeeze(ways.sum(1).mean((2, 3)))))
        weights = scores.view(scores.shape[0], 2, -1, 1, 1).softmax(1)
        return self.head((ways * weights).sum(1))
