"""Streams under norms in the forms that people write them in."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

INPUT, WIDTH = 5, 12


class Llama(nn.Module):
    """RMS norm by hand, in float32."""

    def __init__(self, width: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight, self.variance_epsilon = nn.Parameter(torch.ones(width)), eps

    def forward(self, hidden: Tensor) -> Tensor:
        kind = hidden.dtype
        hidden = hidden.to(torch.float32)
        hidden = hidden * torch.rsqrt(hidden.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)
        return self.weight * hidden.to(kind)


class ByHand(nn.Module):
    """Layer norm by hand, with names of its own."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma, self.beta, self.eps = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width)), 1e-3

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(-1, keepdim=True)
        return (x - mean) / torch.sqrt(x.var(-1, keepdim=True, unbiased=False) + self.eps) * self.gamma + self.beta


class Functional(nn.Module):
    """F.layer_norm on parameters."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, 1e-6)


class InFloat(nn.LayerNorm):
    """A subclass that computes in float32."""

    def forward(self, x: Tensor) -> Tensor:
        parts = (part.float() for part in (x, self.weight, self.bias))
        x32, weight, bias = parts
        return F.layer_norm(x32, self.normalized_shape, weight, bias, self.eps).type_as(x)


class Channels(nn.Module):
    """ConvNeXt's, channels first, by hand."""

    def __init__(self, width: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width)), eps

    def forward(self, x: Tensor) -> Tensor:
        u = x.mean(1, keepdim=True)
        s = (x - u).pow(2).mean(1, keepdim=True)
        x = (x - u) / torch.sqrt(s + self.eps)
        return self.weight[:, None, None] * x + self.bias[:, None, None]


class Permuted(nn.LayerNorm):
    """timm's and torchvision's, channels first."""

    def forward(self, x: Tensor) -> Tensor:
        x = F.layer_norm(x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)


class Deviation(nn.Module):
    """A norm that is none of these: by the deviation with n − 1, and ε outside of the root."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.a_2, self.b_2 = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        return self.a_2 * (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + 1e-6) + self.b_2


class Tokens(nn.Module):
    """(B, N, 5) → (B, N, 3): an MLP on a stream under norms."""

    def __init__(self, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.embed, self.first, self.last = nn.Linear(INPUT, WIDTH), norm(WIDTH), norm(WIDTH)
        self.mlp, self.head = nn.Sequential(nn.Linear(WIDTH, 8), nn.GELU(), nn.Linear(8, WIDTH)), nn.Linear(WIDTH, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        return self.head(self.last(x + self.mlp(self.first(x))))


class Maps(nn.Module):
    """(B, 5, H, W) → (B, 3, H, W): a block of ConvNeXt's."""

    def __init__(self, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.embed, self.first, self.last = nn.Conv2d(INPUT, WIDTH, 3, padding=1), norm(WIDTH), norm(WIDTH)
        self.deep = nn.Conv2d(WIDTH, WIDTH, 3, padding=1, groups=WIDTH)
        self.up, self.down, self.head = nn.Conv2d(WIDTH, 16, 1), nn.Conv2d(16, WIDTH, 1), nn.Conv2d(WIDTH, 3, 1)
        self.scale = nn.Parameter(torch.rand(WIDTH, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        x = x + self.scale * self.down(F.gelu(self.up(self.first(self.deep(x)))))
        return self.head(self.last(x))


LAST: dict[str, Callable[[int], nn.Module]] = {
    "llama": Llama,
    "by hand": ByHand,
    "functional": Functional,
    "subclass": InFloat,
}
FIRST: dict[str, Callable[[int], nn.Module]] = {"channels": Channels, "permuted": Permuted}
