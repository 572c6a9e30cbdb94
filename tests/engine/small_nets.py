"""A multi-task network small enough to be checked by hand, and images for it."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from winnow.engine.training.batches import Batch


class SmallNet(nn.Module):
    """Two blocks, the second with a way around it; a dense head and a head for the whole image."""

    def __init__(self, act: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Sequential(nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), act()),
            Around(nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), act(), nn.Conv2d(4, 4, 3, padding=1))),
            act(),
        )
        self.heads = nn.ModuleDict(
            {
                "map": nn.Conv2d(4, 3, 1),
                "number": nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 1)),
            }
        )

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features = self.trunk(images)
        return {name: head(features) for name, head in self.heads.items()}


class Around(nn.Module):
    """x + inner(x), in place, as some residual networks do it."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        result = self.inner(x)
        result += x
        return result


def small_net(**options: type[nn.Module]) -> SmallNet:
    torch.manual_seed(0)
    net = SmallNet(**options)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(2)
        for batch in batches(3, 4):
            net(batch.images)  # running statistics of its own
    return net.eval()


def batches(count: int = 2, size: int = 3, seed: int = 1) -> list[Batch]:
    chance = torch.Generator().manual_seed(seed)

    def make() -> Iterator[Batch]:
        for _ in range(count):
            images = torch.rand(size, 2, 6, 6, generator=chance)
            targets = {
                "map": torch.randint(0, 3, (size, 6, 6), generator=chance),
                "number": torch.rand(size, 1, generator=chance),
            }
            yield Batch(images, targets)

    return list(make())


READERS = ["trunk.0.0", "trunk.1.inner.0", "trunk.1.inner.2"]
