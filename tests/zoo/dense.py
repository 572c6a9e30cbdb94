"""Networks that predict maps: segmentation, depth, super-resolution, several tasks, as small as they go."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.zoo.blocks import Residual, cba, conv
from tests.zoo.mobile import inverted
from tests.zoo.pyramids import Pyramid


def resized(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


class UNet(nn.Module):
    """Ronneberger et al. 2015; with attention gates (Oktay et al. 2018) on request."""

    def __init__(self, gated: bool = False) -> None:
        super().__init__()
        self.down1, self.down2, self.bottom = self._two(3, 6), self._two(6, 8), self._two(8, 12)
        self.up2, self.mix2, self.up1, self.mix1 = (
            nn.ConvTranspose2d(12, 8, 2, 2),
            self._two(16, 8),
            conv(8, 6, 1),
            self._two(12, 6),
        )
        self.gate = nn.Sequential(cba(16, 6, 1), conv(6, 1, 1), nn.Sigmoid()) if gated else None
        self.out = conv(6, 4, 1)

    def _two(self, inputs: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(cba(inputs, outputs), cba(outputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        one = self.down1(x)
        two = self.down2(F.max_pool2d(one, 2))
        y = resized(self.up2(self.bottom(F.max_pool2d(two, 2))), two)
        if self.gate is not None:
            two = two * self.gate(torch.cat([two, y], 1))
        y = self.mix2(torch.cat([two, y], 1))
        return self.out(self.mix1(torch.cat([one, self.up1(resized(y, one))], 1)))


class UNetPlus(nn.Module):
    """Zhou et al. 2018: every skip is a chain of convolutions; deep supervision in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.x00, self.x10, self.x20 = cba(3, 6), cba(6, 8), cba(8, 10)
        self.x01, self.x11, self.x02 = cba(14, 6), cba(18, 8), cba(20, 6)
        self.out1, self.out2 = conv(6, 3, 1), conv(6, 3, 1)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        x00 = self.x00(x)
        x10 = self.x10(F.max_pool2d(x00, 2))
        x20 = self.x20(F.max_pool2d(x10, 2))
        x01 = self.x01(torch.cat([x00, resized(x10, x00)], 1))
        x11 = self.x11(torch.cat([x10, resized(x20, x10)], 1))
        out = self.out2(self.x02(torch.cat([x00, x01, resized(x11, x00)], 1)))
        return [self.out1(x01), out] if self.training else out


class Stages(nn.Module):
    """Maps at three strides."""

    def __init__(self, widths: tuple[int, ...] = (6, 8, 10)) -> None:
        super().__init__()
        self.stages = nn.ModuleList(cba(i, o, 3, 2) for i, o in zip((3, *widths), widths, strict=False))

    def forward(self, x: Tensor) -> list[Tensor]:
        found = []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found


class Fpn(nn.Module):
    """Lin et al. 2017, and RetinaNet's two towers, shared by all levels."""

    def __init__(self, top_down: bool = True) -> None:
        super().__init__()
        self.body, self.lateral = Stages(), nn.ModuleList(conv(w, 8, 1) for w in (6, 8, 10))
        self.smooth, self.top_down = nn.ModuleList(conv(8, 8) for _ in range(3)), top_down
        self.classes, self.boxes = (nn.Sequential(cba(8, 8), cba(8, 7), conv(7, n)) for n in (5, 4))

    def forward(self, x: Tensor) -> dict[str, list[Tensor]]:
        maps = [lateral(y) for lateral, y in zip(self.lateral, self.body(x), strict=True)]
        for level in (1, 0) if self.top_down else ():
            maps[level] = maps[level] + F.interpolate(maps[level + 1], size=maps[level].shape[-2:])
        maps = [smooth(y) for smooth, y in zip(self.smooth, maps, strict=True)]
        return {
            "classes": [self.classes(y) for y in maps],
            "boxes": [self.boxes(y).permute(0, 2, 3, 1).flatten(1, 2) for y in maps],
        }


class BiFpn(nn.Module):
    """Tan et al. 2020: a learned, normalised weight for every input of a sum."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.lateral = Stages(), nn.ModuleList(cba(w, 8, 1, act=None) for w in (6, 8, 10))
        self.weights, self.mix, self.out = (
            nn.Parameter(torch.ones(2, 2)),
            nn.ModuleList(cba(8, 8) for _ in range(2)),
            conv(8, 3, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        one, two, three = (lateral(y) for lateral, y in zip(self.lateral, self.body(x), strict=True))
        w = F.relu(self.weights)
        w = w / (w.sum(1, keepdim=True) + 1e-4)
        two = self.mix[0](w[0, 0] * two + w[0, 1] * resized(three, two))
        return self.out(self.mix[1](w[1, 0] * one + w[1, 1] * resized(two, one)))


class PspNet(nn.Module):
    """Zhao et al. 2017: means over four grids, with an auxiliary head in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.aux = Stages(), conv(8, 3, 1)
        self.pools = nn.ModuleList(nn.Sequential(nn.AdaptiveAvgPool2d(n), conv(10, 4, 1), nn.ReLU()) for n in (1, 2, 3))
        self.mix, self.out = nn.Sequential(cba(22, 8), nn.Dropout2d(0.1)), conv(8, 3, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        _, middle, y = self.body(x)
        y = torch.cat([y, *(resized(pool(y), y) for pool in self.pools)], 1)
        found = {"out": resized(self.out(self.mix(y)), x)}
        if self.training:
            found["aux"] = resized(self.aux(middle), x)
        return found


class DeepLab(nn.Module):
    """Chen et al. 2018 (v3+): rates side by side, a decoder with low-level features."""

    def __init__(self) -> None:
        super().__init__()
        self.low, self.high = cba(3, 8, 3, 2), nn.Sequential(cba(8, 12, 3, 2), cba(12, 12, dilation=2))
        self.rates = nn.ModuleList([cba(12, 6, 1), cba(12, 6, dilation=2), cba(12, 6, dilation=3)])
        self.pool, self.mix = nn.Sequential(nn.AdaptiveAvgPool2d(1), conv(12, 6, 1), nn.ReLU()), cba(24, 8, 1)
        self.skip, self.out = cba(8, 4, 1), nn.Sequential(cba(12, 8), conv(8, 4, 1))

    def forward(self, x: Tensor) -> Tensor:
        low = self.low(x)
        y = self.high(low)
        y = self.mix(torch.cat([*(rate(y) for rate in self.rates), self.pool(y).expand(-1, -1, *y.shape[-2:])], 1))
        return resized(self.out(torch.cat([self.skip(low), resized(y, low)], 1)), x)


class HrNet(nn.Module):
    """Wang et al. 2020: resolutions side by side that exchange by sums."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.down = cba(3, 8, 3, 2), cba(8, 12, 3, 2)
        self.high, self.low = (Residual(nn.Sequential(cba(w, w), cba(w, w, act=None)), act=nn.ReLU()) for w in (8, 12))
        self.to_low, self.to_high = cba(8, 12, 3, 2, None), cba(12, 8, 1, act=None)
        self.out = nn.Sequential(cba(20, 10, 1), conv(10, 4, 1))

    def forward(self, x: Tensor) -> Tensor:
        high = self.stem(x)
        high, low = self.high(high), self.low(self.down(high))
        high, low = F.relu(high + resized(self.to_high(low), high)), F.relu(low + self.to_low(high))
        return self.out(torch.cat([high, resized(low, high)], 1))


class LinkNet(nn.Module):
    """Chaurasia & Culurciello 2017: skips by sums, narrow decoders."""

    def __init__(self) -> None:
        super().__init__()
        self.body = Stages((8, 10, 12))
        self.up = nn.ModuleList(
            nn.Sequential(cba(i, 4, 1), nn.ConvTranspose2d(4, 4, 2, 2), nn.BatchNorm2d(4), nn.ReLU(), cba(4, o, 1))
            for i, o in ((12, 10), (10, 8), (8, 6))
        )
        self.out = conv(6, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        one, two, three = self.body(x)
        y = resized(self.up[0](three), two) + two
        y = resized(self.up[1](y), one) + one
        return self.out(self.up[2](y))


class BiSeNet(nn.Module):
    """Yu et al. 2018: a way for detail, a way for context, fused by a gate."""

    def __init__(self) -> None:
        super().__init__()
        self.detail, self.context = (
            nn.Sequential(cba(3, 6, 3, 2), cba(6, 8, 3, 2)),
            nn.Sequential(*Stages((6, 8, 10)).stages),
        )
        self.refine, self.reduce, self.fuse = self._gate(10, 10), cba(10, 8), cba(16, 10, 1)
        self.gate, self.out = self._gate(10, 10), conv(10, 4, 1)

    def _gate(self, inputs: int, outputs: int) -> nn.Module:
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(inputs, outputs, 1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        detail, context = self.detail(x), self.context(x)
        context = resized(self.reduce(context * self.refine(context)), detail)
        y = self.fuse(torch.cat([detail, context], 1))
        return resized(self.out(y + y * self.gate(y)), x)


class SegNet(nn.Module):
    """Badrinarayanan et al. 2017: places of the maxima lead the way up."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.three, self.out = cba(3, 6), cba(6, 8), cba(8, 6), nn.Sequential(cba(6, 6), conv(6, 3))

    def forward(self, x: Tensor) -> Tensor:
        x = self.one(x)
        y, one = F.max_pool2d(x, 2, return_indices=True)
        z, two = F.max_pool2d(self.two(y), 2, return_indices=True)
        z = self.three(F.max_unpool2d(z, two, 2, output_size=y.shape[-2:]))
        return self.out(F.max_unpool2d(z, one, 2, output_size=x.shape[-2:]))


class ENet(nn.Module):
    """Paszke et al. 2016: a pooled image beside the first convolution, PReLU, asymmetric kernels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.pool, self.act = nn.Conv2d(3, 7, 3, 2, 1), nn.MaxPool2d(2, ceil_mode=True), nn.PReLU(10)
        wide = nn.Sequential(
            cba(10, 4, 1, act=nn.PReLU),
            nn.Conv2d(4, 4, (5, 1), padding=(2, 0)),
            nn.Conv2d(4, 4, (1, 5), padding=(0, 2)),
        )
        self.block, self.out = (
            Residual(nn.Sequential(wide, conv(4, 10, 1), nn.Dropout2d(0.1)), act=nn.PReLU()),
            nn.ConvTranspose2d(10, 3, 2, 2),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.block(self.act(torch.cat([self.stem(x), self.pool(x)], 1))))


class Hourglass(nn.Module):
    """Newell et al. 2016: stacked, with the heat maps of one fed to the next."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = cba(3, 8, 3, 2)
        self.skip, self.low, self.back = (nn.ModuleList(cba(8, 8) for _ in range(2)) for _ in range(3))
        self.heat, self.feed = nn.ModuleList(conv(8, 4, 1) for _ in range(2)), conv(4, 8, 1)

    def forward(self, x: Tensor) -> list[Tensor]:
        x, found = self.stem(x), []
        for i in range(2):
            y = self.skip[i](x) + resized(self.back[i](self.low[i](F.max_pool2d(x, 2, ceil_mode=True))), x)
            found.append(self.heat[i](y))
            x = x + y + self.feed(found[-1])
        return found


class Dpt(nn.Module):
    """Ranftl et al. 2021: tokens of a pyramid as maps, fused from coarse to fine."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.project = Pyramid(), nn.ModuleList(conv(w, 8, 1) for w in (8, 16))
        unit = lambda: Residual(nn.Sequential(nn.ReLU(), conv(8, 10), nn.ReLU(), conv(10, 8)))  # noqa: E731
        self.units, self.depth, self.normal = nn.ModuleList(unit() for _ in range(2)), conv(8, 1), conv(8, 3)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        one, two = (project(y) for project, y in zip(self.project, self.body(x), strict=True))
        y = self.units[1](one + resized(self.units[0](two), one))
        return {"depth": F.softplus(self.depth(y)), "normal": F.normalize(self.normal(y), dim=1)}


class Edsr(nn.Module):
    """Lim et al. 2017: residual blocks without norms, scaled, and a pixel shuffle; ESPCN's end."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.tail = conv(3, 8), nn.Sequential(conv(8, 32), nn.PixelShuffle(2), conv(8, 3))
        self.blocks = nn.ModuleList(nn.Sequential(conv(8, 10), nn.ReLU(True), conv(10, 8)) for _ in range(2))
        self.register_buffer("mean", torch.tensor([0.4, 0.5, 0.6]).view(1, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        first = x = self.head(x - self.mean)
        for block in self.blocks:
            x = x + block(x) * 0.1
        return self.tail(x + first) + self.mean


def srcnn() -> nn.Module:
    """Dong et al. 2014."""
    return nn.Sequential(
        nn.Upsample(scale_factor=2, mode="bicubic"), conv(3, 10, 9), nn.ReLU(), conv(10, 6, 1), nn.ReLU(), conv(6, 3, 5)
    )


class DnCnn(nn.Module):
    """Zhang et al. 2017: what is learned is the noise."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(1, 8), nn.ReLU(), cba(8, 8), cba(8, 10), conv(10, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return x - self.body(x)


class FastScnn(nn.Module):
    """Poudel et al. 2019: MobileNet's blocks on a low resolution, sums with the high one."""

    def __init__(self) -> None:
        super().__init__()
        self.high, self.low = (
            nn.Sequential(cba(3, 6, 3, 2), cba(6, 8, 3, 2)),
            nn.Sequential(inverted(8, 8, 2), inverted(8, 10)),
        )
        self.one, self.two, self.out = (
            cba(8, 12, 1, act=None),
            cba(10, 12, 1, act=None),
            nn.Sequential(cba(12, 12, groups=12), conv(12, 4, 1)),
        )

    def forward(self, x: Tensor) -> Tensor:
        high = self.high(x)
        return resized(self.out(F.relu(self.one(high) + resized(self.two(self.low(high)), high))), x)
