"""Small nets of every architecture that a user may bring, with generic weights (norms and running statistics too)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from winnow.engine.networks.heads import AsppHead, ClassifierHead, LightHead
from winnow.engine.networks.multitask import MultiTaskNet
from winnow.engine.networks.residual import residual_trunk
from winnow.engine.specs.network import ResidualSpec


def cbr(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, **options) -> nn.Sequential:
    pad = options.get("dilation", 1) * (kernel // 2)
    conv = nn.Conv2d(inputs, outputs, kernel, stride, pad, bias=False, **options)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class Ours(nn.Module):
    """Our own network: dilated residual trunk and three heads."""

    def __new__(cls, block: str = "basic", head: type = LightHead, stem: str = "small") -> MultiTaskNet:
        blocks = (2, 1) if block == "basic" else (1, 1)
        spec = ResidualSpec(block=block, widths=(6, 8), blocks=blocks, stem=stem, head_width=7)
        trunk = residual_trunk(spec, 3)
        other = ClassifierHead(trunk.outputs, 7, 3)
        return MultiTaskNet(
            trunk, {"seg": head(trunk.outputs, 7, 4), "depth": LightHead(trunk.outputs, 7, 1), "kind": other}
        )


class PreActivation(nn.Module):
    """Residual block that normalises before the convolution, as in ResNet v2."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(8) for _ in range(4))
        self.convs = nn.ModuleList(nn.Conv2d(8, 8, 3, padding=1, bias=False) for _ in range(4))
        self.out = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for i in (0, 2):
            y = self.convs[i](F.relu(self.norms[i](x)))
            x = x + self.convs[i + 1](F.relu(self.norms[i + 1](y)))
        return self.out(x.mean((2, 3)))


class Vgg(nn.Module):
    """Plain convolutions, then a flattening of H·W columns per channel."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(True), nn.MaxPool2d(2),
            nn.Conv2d(6, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(True), nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(3),
        )  # fmt: skip
        self.classifier = nn.Sequential(nn.Linear(8 * 9, 10), nn.ReLU(True), nn.Dropout(), nn.Linear(10, 5))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.features(x), 1))


class DenseLayer(nn.Module):
    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, 2 * growth, 1, bias=False)
        self.norm2, self.conv2 = nn.BatchNorm2d(2 * growth), nn.Conv2d(2 * growth, growth, 3, padding=1, bias=False)

    def forward(self, features: list[Tensor]) -> Tensor:
        x = self.conv1(F.relu(self.norm1(torch.cat(features, 1)), inplace=True))
        return self.conv2(F.relu(self.norm2(x), inplace=True))


class DenseNet(nn.Module):
    """Concatenation of everything before."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.layers = nn.ModuleList(DenseLayer(6 + 4 * i, 4) for i in range(3))
        self.transition = nn.Sequential(nn.BatchNorm2d(18), nn.ReLU(), nn.Conv2d(18, 9, 1), nn.AvgPool2d(2))
        self.last = nn.ModuleList(DenseLayer(9 + 4 * i, 4) for i in range(2))
        self.out = nn.Linear(17, 4)

    def forward(self, x: Tensor) -> Tensor:
        features = [self.stem(x)]
        for layer in self.layers:
            features.append(layer(features))
        features = [self.transition(torch.cat(features, 1))]
        for layer in self.last:
            features.append(layer(features))
        return self.out(F.adaptive_avg_pool2d(F.relu(torch.cat(features, 1)), (1, 1)).flatten(1))


class SqueezeExcite(nn.Module):
    def __init__(self, channels: int, inner: int, gate: Callable[[Tensor], Tensor] = torch.sigmoid) -> None:
        super().__init__()
        self.down, self.up, self.gate = nn.Conv2d(channels, inner, 1), nn.Conv2d(inner, channels, 1), gate

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(self.up(F.relu(self.down(F.adaptive_avg_pool2d(x, 1)))))


class Inverted(nn.Module):
    """MobileNet's block: widen, depthwise, squeeze-excite, narrow; a way around where sizes agree."""

    def __init__(self, inputs: int, inner: int, outputs: int, stride: int, act: type, excite: bool) -> None:
        super().__init__()
        self.around = inputs == outputs and stride == 1
        self.body = nn.Sequential(
            nn.Conv2d(inputs, inner, 1, bias=False), nn.BatchNorm2d(inner), act(),
            nn.Conv2d(inner, inner, 3, stride, 1, groups=inner, bias=False), nn.BatchNorm2d(inner), act(),
            SqueezeExcite(inner, 4, F.hardsigmoid) if excite else nn.Identity(),
            nn.Conv2d(inner, outputs, 1, bias=False), nn.BatchNorm2d(outputs),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.around else self.body(x)


class MobileNet(nn.Module):
    def __init__(self, act: type = nn.ReLU6, excite: bool = False) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1, bias=False), nn.BatchNorm2d(6), act())
        self.blocks = nn.Sequential(
            Inverted(6, 12, 8, 1, act, excite), Inverted(8, 16, 8, 1, act, excite), Inverted(8, 12, 10, 2, act, False)
        )
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(10, 4))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.stem(x)))


class UNet(nn.Module):
    """Skips by concatenation, transposed convolutions on the way up; the sizes decide about a crop."""

    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2, self.bottom = cbr(3, 6), cbr(6, 8), cbr(8, 10)
        self.up2, self.mix2 = nn.ConvTranspose2d(10, 7, 2, 2), cbr(15, 8)
        self.up1, self.mix1 = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False), cbr(14, 6)
        self.out = nn.Conv2d(6, 3, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        one = self.down1(x)
        two = self.down2(F.max_pool2d(one, 2))
        y = self.up2(self.bottom(F.max_pool2d(two, 2)))
        if y.shape[-2:] != two.shape[-2:]:
            y = F.interpolate(y, size=two.shape[-2:])
        y = self.mix2(torch.cat((two, y), dim=1))
        y = self.mix1(torch.cat([one, self.up1(y)], dim=1))
        return {"mask": self.out(y)}


class Fpn(nn.Module):
    """Feature pyramid: lateral 1×1 convolutions summed on the way down, one shared predictor on every level."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList([cbr(3, 6, 3, 2), cbr(6, 8, 3, 2), cbr(8, 10, 3, 2)])
        self.lateral = nn.ModuleList(nn.Conv2d(width, 7, 1) for width in (6, 8, 10))
        self.smooth = nn.ModuleList(nn.Conv2d(7, 7, 3, padding=1) for _ in range(3))
        self.predict = nn.Sequential(cbr(7, 5), nn.Conv2d(5, 2, 1))

    def forward(self, x: Tensor) -> list[Tensor]:
        levels = []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        top = self.lateral[2](levels[2])
        found = [self.predict(self.smooth[2](top))]
        for i in (1, 0):
            top = self.lateral[i](levels[i]) + F.interpolate(top, scale_factor=2.0, mode="nearest")
            found.append(self.predict(self.smooth[i](top)))
        return found


class ConvNext(nn.Module):
    """Depthwise 7×7, then layer norm, linear, GELU, linear over the last axis, layer scale, and back."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.stem_norm = nn.Conv2d(3, 8, 2, 2), nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 8, 7, padding=3, groups=8)
        self.norm = nn.LayerNorm(8)
        self.wide, self.narrow = nn.Linear(8, 16), nn.Linear(16, 8)
        self.scale = nn.Parameter(torch.ones(8))
        self.out = nn.Conv2d(8, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem_norm(self.stem(x))
        y = self.depthwise(x).permute(0, 2, 3, 1)
        y = self.scale * self.narrow(F.gelu(self.wide(self.norm(y))))
        return self.out(x + y.permute(0, 3, 1, 2))


class Mlp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(12, 10), nn.Tanh(), nn.Linear(10, 8), nn.ELU(), nn.Linear(8, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Grouped(nn.Module):
    """A grouped convolution between plain ones, as in ResNeXt, and a transposed one."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.grouped = cbr(3, 12), cbr(12, 8, groups=2)
        self.up = nn.ConvTranspose2d(8, 6, 2, 2, groups=2)
        self.out = nn.Conv2d(6, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.relu(self.up(self.grouped(self.first(x)))))


class Shuffle(nn.Module):
    """Pixel shuffle up, unshuffle down: r² channels stand for one."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.wide, self.last = cbr(3, 8), nn.Conv2d(8, 24, 3, padding=1), nn.Conv2d(24, 5, 3, padding=1)
        self.up, self.middle, self.out = nn.PixelShuffle(2), cbr(6, 6), nn.Conv2d(5, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.middle(self.up(self.wide(self.first(x))))
        return self.out(torch.relu(self.last(F.pixel_unshuffle(y, 2))))


class Shared(nn.Module):
    """One convolution used twice, and one weight under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.twice = cbr(3, 8), nn.Conv2d(8, 8, 3, padding=1)
        self.one, self.other = nn.Conv2d(8, 6, 1), nn.Conv2d(8, 6, 1)
        self.other.weight = self.one.weight
        self.outs = nn.ModuleList(nn.Conv2d(6, 2, 1) for _ in range(2))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.stem(x)
        y = torch.relu(self.twice(torch.relu(self.twice(x))))
        return self.outs[0](torch.relu(self.one(x))), self.outs[1](torch.relu(self.other(y)))


class Splits(nn.Module):
    """Channels split, chunked and sliced: a gated unit, halves that go their ways, and a sum with a part."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.gated = nn.Conv2d(3, 12, 3, padding=1), nn.Conv2d(6, 10, 1)
        self.left, self.right, self.tail = nn.Conv2d(4, 6, 1), nn.Conv2d(8, 6, 1), nn.Conv2d(5, 6, 1)
        self.out = nn.Conv2d(6, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        left, right = x.split([4, 8], dim=1)
        mixed = self.left(left.relu()) + self.right(F.silu(right))
        value, gate = self.gated(mixed).chunk(2, dim=1)
        return self.out(self.tail(value * gate.sigmoid()) + x[:, 6:])


class Sums(nn.Module):
    """Two streams that meet in sums of any shape, one scaled by a mask for all channels; a sum over channels."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = cbr(3, 8), cbr(3, 8), cbr(8, 8)
        self.mask, self.out, self.side = nn.Conv2d(8, 1, 1), nn.Conv2d(8, 3, 1), cbr(8, 4)

    def forward(self, x: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        a, b = self.a(x), self.b(x)
        mean = (a + b) / 2
        c = self.c(mean) - a * torch.sigmoid(self.mask(b))
        return {"both": (self.out(c), self.side(c).amax((2, 3)).sum(1))}


class Temporal(nn.Module):
    """One-dimensional: instance norm, PReLU, padding, reshape to one row."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.act = nn.Conv1d(3, 8, 5), nn.InstanceNorm1d(8, affine=True), nn.PReLU(8)
        self.second, self.out = nn.Conv1d(8, 6, 3, dilation=2), nn.Linear(6 * 10, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.norm(self.first(F.pad(x, (2, 2)))))
        y = F.leaky_relu(self.second(y), 0.1)
        return self.out(y.view(y.size(0), -1))


class Program(nn.Module):
    """A few layers and parameters (a buffer if it is a plain tensor), and what to do with them."""

    def __init__(self, program: Callable[[nn.Module, Tensor], Tensor], **parts: nn.Module | Tensor) -> None:
        super().__init__()
        self.program = program
        for name, part in parts.items():
            plain = isinstance(part, Tensor) and not isinstance(part, nn.Parameter)
            self.register_buffer(name, part) if plain else setattr(self, name, part)

    def forward(self, x: Tensor) -> Tensor:
        return self.program(self, x)


def conv(inputs: int, outputs: int, kernel: int = 3, **options) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, **options)


def channel_shuffle() -> nn.Module:
    """ShuffleNet: grouped convolutions with a shuffle between them, by module and by hand."""

    def program(m: nn.Module, x: Tensor) -> Tensor:
        y = m.shuffle(m.first(m.stem(x)))
        b, c, h, w = y.shape
        y = y.view(b, 2, c // 2, h, w).transpose(1, 2).contiguous().view(b, -1, h, w)
        return m.out(torch.relu(m.second(y)))

    grouped = {"first": conv(12, 12, groups=2), "second": conv(12, 8, groups=2)}
    return Program(program, stem=conv(3, 12), shuffle=nn.ChannelShuffle(2), **grouped, out=conv(8, 2))


def frozen_norm() -> nn.Module:
    """A batch norm written out with buffers, a map of positions, coordinates as channels."""

    def program(m: nn.Module, x: Tensor) -> Tensor:
        scale = m.w * (m.v + 1e-5).rsqrt()
        y = m.a(x) * scale.reshape(1, -1, 1, 1) + (m.b - m.mean * scale).reshape(1, -1, 1, 1)
        y = F.relu(y + m.map)
        across = torch.linspace(0, 1, 16, dtype=x.dtype).view(1, 1, 1, 16).expand(y.size(0), 1, 16, 16)
        return m.out(torch.cat([y, across], 1))

    buffers = {name: torch.rand(6) + 0.5 for name in ("w", "v", "b", "mean")}
    return Program(program, a=conv(3, 6), out=conv(7, 2), map=nn.Parameter(torch.randn(1, 6, 16, 16)), **buffers)


def input_side() -> nn.Module:
    """What is added to the model's input is tied to it; a fixed blur is no layer that makes channels."""

    def program(m: nn.Module, x: Tensor) -> Tensor:
        blurred = F.conv2d(m.a(x), m.blur, padding=1, groups=m.blur.shape[0])
        return x + m.b(F.silu(blurred))

    return Program(program, a=conv(3, 6), b=conv(6, 3), blur=torch.ones(6, 1, 3, 3) / 9)


def zero_padded_skip() -> nn.Module:
    """The shortcut of the first residual networks: channels padded with zeros."""

    def program(m: nn.Module, x: Tensor) -> Tensor:
        y = F.relu(m.a(x))
        return m.out(F.relu(m.b(y) + F.pad(y, (0, 0, 0, 0, 2, 2))))

    return Program(program, a=conv(3, 6), b=conv(6, 10), out=conv(10, 2))


def twins() -> nn.Module:
    """A gated unit, a channel beside itself, a repetition and a maximum of two."""

    def program(m: nn.Module, x: Tensor) -> Tensor:
        y = F.glu(m.gated(x), 1)
        z = torch.cat([y, y.tanh()], 1) + m.narrow(x).repeat(1, 2, 1, 1)
        return m.out(torch.max(z, m.other(x)))

    return Program(program, gated=conv(3, 8), narrow=conv(3, 4), other=conv(3, 8), out=conv(8, 2))


IMAGE = (2, 3, 16, 16)
ZOO: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "ours basic": (Ours, IMAGE),
    "ours bottleneck, D-stem, ASPP": (lambda: Ours("bottleneck", AsppHead, "large"), IMAGE),
    "pre-activation": (PreActivation, IMAGE),
    "vgg": (Vgg, IMAGE),
    "densenet": (DenseNet, IMAGE),
    "mobilenet v2": (MobileNet, IMAGE),
    "mobilenet v3": (lambda: MobileNet(nn.Hardswish, True), IMAGE),
    "efficientnet": (lambda: MobileNet(nn.SiLU, True), IMAGE),
    "u-net": (UNet, IMAGE),
    "fpn": (Fpn, IMAGE),
    "convnext": (ConvNext, IMAGE),
    "mlp": (Mlp, (3, 12)),
    "grouped": (Grouped, IMAGE),
    "pixel shuffle": (Shuffle, IMAGE),
    "shared": (Shared, IMAGE),
    "splits": (Splits, IMAGE),
    "sums and a mask": (Sums, IMAGE),
    "temporal": (Temporal, (2, 3, 14)),
    "channel shuffle": (channel_shuffle, IMAGE),
    "frozen norm": (frozen_norm, IMAGE),
    "input side": (input_side, IMAGE),
    "zero-padded skip": (zero_padded_skip, IMAGE),
    "twins": (twins, IMAGE),
}


def build(name: str, seed: int = 0) -> tuple[nn.Module, Tensor]:
    """Return a net in float64, with generic norms, in evaluation mode, and an example."""
    maker, shape = ZOO[name]
    torch.manual_seed(seed)
    net = maker().double()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.LayerNorm | nn.InstanceNorm1d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    return net.eval(), torch.randn(shape, dtype=torch.float64)
