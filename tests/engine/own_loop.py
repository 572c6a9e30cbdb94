"""A user's own loop on a small convolutional network of theirs, which Winnow knows nothing of."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from winnow.data.sample import Field
from winnow.engine import GroupLasso, Proximal, coupled_groups, record
from winnow.engine.runs.run import Run

TASKS = {"side": Field(kind="classification", classes=("left", "right")), "light": Field(kind="regression")}


class Net(nn.Module):
    """What a user has: a body that both tasks read, and a layer for each."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        )  # fmt: skip
        self.side, self.light = nn.Linear(16 * width, 2), nn.Linear(16 * width, 1)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features = self.body(images)
        return {"side": self.side(features), "light": self.light(features)}


class Images:
    """Batches of normalised images, of which one half is lighter; the same ones in each epoch."""

    def __init__(self, batches: int, seed: int, size: int = 24) -> None:
        self.batches, self.seed, self.size = batches, seed, size

    def __iter__(self) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
        chance = torch.Generator().manual_seed(self.seed)
        for _ in range(self.batches):
            side = torch.randint(0, 2, (self.size,), generator=chance)
            images = torch.randn(self.size, 1, 8, 8, generator=chance)
            for place, where in enumerate(side.tolist()):
                images[place, :, :, 4 * where : 4 * where + 4] += 2
            yield images, {"side": side, "light": images.mean((1, 2, 3))}


def losses_of(net: nn.Module, images: Tensor, targets: dict[str, Tensor]) -> dict[str, Tensor]:
    outputs = net(images)
    return {
        "side": functional.cross_entropy(outputs["side"], targets["side"]),
        "light": functional.mse_loss(outputs["light"][:, 0], targets["light"]),
    }


def own_loop(
    runs: Path, epochs: int = 3, each_step: Callable[[Any], None] = lambda run: None, **more: Any
) -> tuple[Run, Net, Proximal]:
    """Train for some epochs, recorded; return the run, the network and its optimiser."""
    torch.manual_seed(0)
    net, images = more.pop("net", None) or Net(), Images(4, seed=1)
    example = next(iter(images))[0][:1]
    optimizer = torch.optim.AdamW(net.parameters(), 3e-3)
    proximal = Proximal(optimizer, coupled_groups(net, example, within=("body",)), GroupLasso(0.02))
    told = {"tasks": TASKS, "loader": Images(2, seed=2), "epochs": epochs, "batch_size": 24, **more}
    with record("mine", net, example, proximal, runs=runs, **{k: v for k, v in told.items() if v is not None}) as run:
        for _ in range(epochs):
            for batch, targets in images:
                losses = losses_of(net, batch, targets)
                proximal.zero_grad()
                sum(losses.values()).backward()
                proximal.step()
                run.step(losses)
                each_step(run)
            run.epoch(None if "loader" in told and told["loader"] is not None else {"side": {"loss": 1.0}})
    return run.run, net, proximal
