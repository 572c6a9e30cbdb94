"""Networks that generate, flow or denoise."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.zoo.blocks import Residual, TransformerBlock, cba, conv


class Dcgan(nn.Module):
    """Radford et al. 2016."""

    def __init__(self) -> None:
        super().__init__()
        ups = [
            m
            for i, o in ((12, 10), (10, 8))
            for m in (nn.ConvTranspose2d(i, o, 4, 2, 1, bias=False), nn.BatchNorm2d(o), nn.ReLU(True))
        ]
        self.body = nn.Sequential(
            nn.ConvTranspose2d(12, 12, 4, bias=False), nn.BatchNorm2d(12), nn.ReLU(), *ups, conv(8, 3), nn.Tanh()
        )

    def forward(self, noise: Tensor) -> Tensor:
        return self.body(noise[:, :, None, None])


class Resnet9(nn.Module):
    """CycleGAN's generator (Zhu et al. 2017): reflected borders, instance norms, transposed convolutions."""

    def __init__(self) -> None:
        super().__init__()

        def block() -> nn.Module:
            return Residual(
                nn.Sequential(
                    nn.ReflectionPad2d(1), nn.Conv2d(10, 10, 3), nn.InstanceNorm2d(10), nn.ReLU(), conv(10, 10)
                )
            )

        down = [
            nn.ReflectionPad2d(3),
            nn.Conv2d(3, 8, 7),
            nn.InstanceNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 10, 3, 2, 1),
            nn.ReLU(),
        ]
        self.body = nn.Sequential(
            *down, block(), block(), nn.ConvTranspose2d(10, 6, 3, 2, 1, 1), nn.ReLU(), conv(6, 3, 7), nn.Tanh()
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


class Pix2Pix(nn.Module):
    """Isola et al. 2017: a U-Net of strided convolutions with dropout on the way up."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.three = conv(3, 6, 3, 2), cba(6, 8, 3, 2), conv(8, 8, 3, 2)
        self.up3, self.up2, self.up1 = (nn.ConvTranspose2d(i, o, 4, 2, 1) for i, o in ((8, 8), (16, 6), (12, 3)))
        self.norm = nn.BatchNorm2d(8)

    def forward(self, x: Tensor) -> Tensor:
        one = F.leaky_relu(self.one(x), 0.2)
        two = self.two(one)
        y = F.dropout(self.norm(self.up3(F.relu(self.three(two)))), 0.5, self.training)
        y = self.up2(F.relu(torch.cat([y, two], 1)))
        return torch.tanh(self.up1(F.relu(torch.cat([y, one], 1))))


class StyleBlock(nn.Module):
    """Karras et al. 2019: the style scales and shifts every channel of a normalised map (AdaIN)."""

    def __init__(self, inputs: int, outputs: int, style: int) -> None:
        super().__init__()
        self.conv, self.style = conv(inputs, outputs), nn.Linear(style, 2 * outputs)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        y = F.leaky_relu(self.conv(F.interpolate(x, scale_factor=2.0)), 0.2)
        scale, shift = self.style(w)[:, :, None, None].chunk(2, 1)
        mean, deviation = y.mean((2, 3), keepdim=True), y.std((2, 3), keepdim=True) + 1e-5
        return (1 + scale) * (y - mean) / deviation + shift


class StyleGan(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Sequential(nn.Linear(12, 10), nn.LeakyReLU(0.2), nn.Linear(10, 8), nn.LeakyReLU(0.2))
        self.start, self.one, self.two = nn.Parameter(torch.randn(1, 8, 4, 4)), StyleBlock(8, 8, 8), StyleBlock(8, 6, 8)
        self.out = conv(6, 3, 1)

    def forward(self, noise: Tensor) -> Tensor:
        w = self.map(noise)
        return self.out(self.two(self.one(self.start.expand(len(noise), -1, -1, -1), w), w))


class RealNvp(nn.Module):
    """Dinh et al. 2017: coupling layers; half of the vector scales and shifts the other half."""

    def __init__(self, width: int = 12) -> None:
        super().__init__()
        half = width // 2
        self.nets = nn.ModuleList(
            nn.Sequential(nn.Linear(half, 16), nn.ReLU(), nn.Linear(16, 2 * half)) for _ in range(3)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        determinant = x.new_zeros(x.shape[0])
        for net in self.nets:
            one, two = x.chunk(2, 1)
            scale, shift = net(one).chunk(2, 1)
            scale = torch.tanh(scale)
            determinant = determinant + scale.sum(1)
            x = torch.cat([two * scale.exp() + shift, one], 1)
        return x, determinant


class Denoiser(nn.Module):
    """Ho et al. 2020: a U-Net that is told the time by a sinusoidal embedding, with group norms and attention."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.time = nn.Sequential(nn.Linear(width, 12), nn.SiLU(), nn.Linear(12, 12))
        self.first, self.down, self.up, self.out = (
            conv(3, width),
            conv(width, 12, 3, 2),
            conv(20, width),
            conv(width, 3),
        )
        self.norm1, self.norm2, self.conv1, self.conv2 = (
            nn.GroupNorm(4, 12),
            nn.GroupNorm(4, 12),
            conv(12, 12),
            conv(12, 12),
        )
        self.told, self.attend = nn.Linear(12, 12), TransformerBlock(12, 3)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        half = self.first.out_channels // 2
        rate = torch.exp(-math.log(10000) * torch.arange(4, dtype=x.dtype) / 4) if half == 4 else None
        angle = time[:, None] * rate
        told = self.time(torch.cat([angle.sin(), angle.cos()], 1))
        one = self.first(x)
        y = self.down(one)
        z = self.conv1(F.silu(self.norm1(y))) + self.told(F.silu(told))[:, :, None, None]
        y = y + self.conv2(F.silu(self.norm2(z)))
        y = self.attend(y.flatten(2).mT).mT.view_as(y)
        return self.out(F.silu(self.up(torch.cat([F.interpolate(y, size=one.shape[-2:]), one], 1))))


class DiT(nn.Module):
    """Peebles & Xie 2023: the time scales and shifts the norms of a transformer."""

    def __init__(self, width: int = 12) -> None:
        super().__init__()
        self.embed, self.time, self.change = nn.Conv2d(3, width, 4, 4), nn.Linear(1, width), nn.Linear(width, 6 * width)
        self.norm, self.block, self.out = (
            nn.LayerNorm(width, elementwise_affine=False),
            TransformerBlock(width, 3),
            nn.Linear(width, 48),
        )

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        y = self.embed(x)
        h, w = y.shape[-2:]
        y = y.flatten(2).transpose(1, 2)
        shift1, scale1, gate1, shift2, scale2, gate2 = (
            self.change(F.silu(self.time(time[:, None]))).unsqueeze(1).chunk(6, -1)
        )
        y = y + gate1 * self.block.attn(self.norm(y) * (1 + scale1) + shift1)
        y = y + gate2 * self.block.mlp(self.norm(y) * (1 + scale2) + shift2)
        y = self.out(y).view(x.shape[0], h, w, 3, 4, 4)
        return torch.einsum("bhwcij->bchiwj", y).reshape(x.shape[0], 3, 4 * h, 4 * w)


class NeuralField(nn.Module):
    """NeRF (Mildenhall et al. 2020): Fourier features, the input again in the middle, density and colour."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = (
            nn.Sequential(nn.Linear(21, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU()),
            nn.Sequential(nn.Linear(37, 14), nn.ReLU()),
        )
        self.density, self.colour = (
            nn.Linear(14, 1),
            nn.Sequential(nn.Linear(14, 8), nn.ReLU(), nn.Linear(8, 3), nn.Sigmoid()),
        )

    def forward(self, places: Tensor) -> Tensor:
        waves = [f(places * 2.0**n) for n in range(3) for f in (torch.sin, torch.cos)]
        x = torch.cat([places, *waves], -1)
        y = self.two(torch.cat([self.one(x), x], -1))
        return torch.cat([F.relu(self.density(y)), self.colour(y)], -1)


class Siamese(nn.Module):
    """Bromley et al. 1993: one trunk for two images, their distance."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            cba(3, 8, 3, 2), cba(8, 12, 3, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 8)
        )
        self.out = nn.Linear(8, 1)

    def forward(self, one: Tensor, two: Tensor) -> Tensor:
        return self.out((self.body(one) - self.body(two)).abs())


class ProtoNet(nn.Module):
    """Snell et al. 2017: distances to the means of the support images' embeddings."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            cba(3, 8),
            nn.MaxPool2d(2),
            cba(8, 10),
            nn.MaxPool2d(2),
            conv(10, 6, 1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )

    def forward(self, query: Tensor, support: Tensor) -> Tensor:
        b, ways = support.shape[:2]
        means = self.body(support.flatten(0, 1)).unflatten(0, (b, ways)).mean(0)
        return -torch.cdist(self.body(query), means)
