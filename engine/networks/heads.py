"""What a task adds to the shared features: a light dense head, DeepLab's ASPP, or a classifier."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from winnow.engine.specs.registry import entry
from winnow.engine.tasks.task import Task

RATES = (12, 24, 36)  # of the atrous convolutions, for features at 1/8


def conv_norm(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """Return a convolution without bias that keeps the size (at stride 1), and its batch norm."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, dilation * (kernel // 2), dilation, bias=False),
        nn.BatchNorm2d(outputs),
    )


class LightHead(nn.Module):
    """One 3×3 convolution, then one 1×1: features (B, C, h, w) → (B, outputs, h, w)."""

    def __init__(self, inputs: int, width: int, outputs: int) -> None:
        super().__init__()
        self.mix = nn.Sequential(conv_norm(inputs, width, 3), nn.ReLU())
        self.out = nn.Conv2d(width, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the map at the size of the features."""
        prediction: Tensor = self.out(self.mix(x))
        return prediction


class AsppHead(nn.Module):
    """Atrous spatial pyramid pooling (Chen et al., arXiv 1706.05587): five views, then the light head."""

    def __init__(self, inputs: int, width: int, outputs: int) -> None:
        super().__init__()
        self.views = nn.ModuleList(
            [nn.Sequential(conv_norm(inputs, width, 1), nn.ReLU())]
            + [nn.Sequential(conv_norm(inputs, width, 3, 1, rate), nn.ReLU()) for rate in RATES]
        )
        self.whole = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(inputs, width, 1), nn.ReLU())
        self.project = nn.Sequential(conv_norm(width * (len(RATES) + 2), width, 1), nn.ReLU(), nn.Dropout(0.1))
        self.light = LightHead(width, width, outputs)

    @property
    def out(self) -> nn.Conv2d:
        """The last layer."""
        return self.light.out

    def forward(self, x: Tensor) -> Tensor:
        """Return the map at the size of the features."""
        size = x.shape[-2:]
        whole = functional.interpolate(self.whole(x), size=size, mode="nearest")
        prediction: Tensor = self.light(self.project(torch.cat([*(view(x) for view in self.views), whole], 1)))
        return prediction


class ClassifierHead(nn.Module):
    """Mean over space, one hidden layer: (B, C, h, w) → (B, outputs)."""

    def __init__(self, inputs: int, width: int, outputs: int) -> None:
        super().__init__()
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.hidden = nn.Sequential(nn.Linear(inputs, width), nn.ReLU())
        self.out = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return one row of outputs per image."""
        prediction: Tensor = self.out(self.hidden(self.pool(x)))
        return prediction


class UnetHead(nn.Module):
    """A decoder after U-Net (Ronneberger et al., arXiv 1505.04597): from the last stage up, joined with each before it.

    It reads the features of every stage, a tuple, and gives a map at the size of the first of them.
    """

    def __init__(self, inputs: Sequence[int], width: int, outputs: int) -> None:
        super().__init__()
        self.deepest = nn.Sequential(conv_norm(inputs[-1], width, 1), nn.ReLU())
        self.joined = nn.ModuleList(
            nn.Sequential(conv_norm(width + skipped, width, 3), nn.ReLU()) for skipped in reversed(inputs[:-1])
        )
        self.light = LightHead(width, width, outputs)

    @property
    def out(self) -> nn.Conv2d:
        """The last layer."""
        return self.light.out

    def forward(self, levels: tuple[Tensor, ...]) -> Tensor:
        """Return the map at the size of the first stage."""
        x: Tensor = self.deepest(levels[-1])
        for join, skipped in zip(self.joined, reversed(levels[:-1]), strict=True):
            larger = functional.interpolate(x, size=skipped.shape[-2:], mode="nearest")
            x = join(torch.cat([larger, skipped], 1))
        prediction: Tensor = self.light(x)
        return prediction


class AtStage(nn.Module):
    """A head that reads one stage of several, `stage` from 0, or with `upto` all stages up to it."""

    def __init__(self, head: nn.Module, stage: int, upto: bool) -> None:
        super().__init__()
        self.head, self.stage, self.upto = head, stage, upto

    @property
    def out(self) -> nn.Module:
        """The last layer of the head."""
        last: nn.Module = self.head.out  # type: ignore[assignment]  # every head has one
        return last

    def forward(self, levels: tuple[Tensor, ...]) -> Tensor:
        """Return what the head gives."""
        prediction: Tensor = self.head(levels[: self.stage + 1] if self.upto else levels[self.stage])
        return prediction


DENSE: Mapping[str, Callable[[Any, int, int], nn.Module]] = MappingProxyType(
    {"light": LightHead, "aspp": AsppHead, "unet": UnetHead}
)
"""The heads of dense tasks, by the name that a spec gives them."""


def build_head(task: Task, dense: str, inputs: int | Sequence[int], width: int) -> nn.Module:
    """Return the head of a task on features of `inputs` channels; a dense task gets the one called `dense`.

    A decoder (unet) takes the channels of every stage that it reads.

    Raises:
        ValueError: no head of that name.

    """
    head: Callable[[Any, int, int], nn.Module] = entry(DENSE, dense, "head") if task.field.dense else ClassifierHead
    return head(inputs, width, task.outputs)
