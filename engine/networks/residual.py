"""The shared trunk: a residual network (He et al., arXiv 1512.03385), dilated on request (Yu et al., 1705.09914)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import NamedTuple

from torch import Tensor, nn

from winnow.engine.networks.coupling import Trunk, on_trunk
from winnow.engine.networks.heads import conv_norm
from winnow.engine.networks.multitask import WithHeads
from winnow.engine.specs.network import ResidualSpec, ResnetSpec
from winnow.engine.specs.registry import entry
from winnow.engine.tasks.task import Task

EXPANSION = 4


class BlockStep(NamedTuple):
    """How a block strides, how far its views are dilated, and how far the first of them is."""

    stride: int
    dilation: int
    first: int


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a way around them."""

    def __init__(self, inputs: int, width: int, step: BlockStep, averaged: bool = False) -> None:
        super().__init__()
        self.conv1 = conv_norm(inputs, width, 3, step.stride, step.first)
        self.conv2 = conv_norm(width, width, 3, 1, step.dilation)
        self.around = _around(inputs, width, step, averaged)
        self.relu = nn.ReLU()

    @property
    def outputs(self) -> int:
        """Channels of the result, after a removal too."""
        last: nn.Conv2d = self.conv2[0]  # type: ignore[assignment]
        return last.out_channels

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) → (B, width, H/stride, W/stride)."""
        summed: Tensor = self.relu(self.around(x) + self.conv2(self.relu(self.conv1(x))))
        return summed


class Bottleneck(nn.Module):
    """1×1, 3×3, 1×1 convolutions and a way around them; four times as wide outside as inside."""

    def __init__(self, inputs: int, width: int, step: BlockStep, averaged: bool = False) -> None:
        super().__init__()
        self.conv1 = conv_norm(inputs, width, 1)
        self.conv2 = conv_norm(width, width, 3, step.stride, step.first)
        self.conv3 = conv_norm(width, EXPANSION * width, 1)
        self.around = _around(inputs, EXPANSION * width, step, averaged)
        self.relu = nn.ReLU()

    @property
    def outputs(self) -> int:
        """Channels of the result, after a removal too."""
        last: nn.Conv2d = self.conv3[0]  # type: ignore[assignment]
        return last.out_channels

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) → (B, 4·width, H/stride, W/stride)."""
        inner = self.relu(self.conv2(self.relu(self.conv1(x))))
        summed: Tensor = self.relu(self.around(x) + self.conv3(inner))
        return summed


BLOCKS: Mapping[str, type[BasicBlock | Bottleneck]] = MappingProxyType({"basic": BasicBlock, "bottleneck": Bottleneck})


class ResnetSize(NamedTuple):
    """The kind of block of a ResNet, and how many of them each stage has."""

    block: str
    blocks: tuple[int, int, int, int]


WIDTHS = (64, 128, 256, 512)
SIZES: Mapping[str, ResnetSize] = MappingProxyType(
    {
        "resnet18": ResnetSize("basic", (2, 2, 2, 2)),
        "resnet34": ResnetSize("basic", (3, 4, 6, 3)),
        "resnet50": ResnetSize("bottleneck", (3, 4, 6, 3)),
        "resnet101": ResnetSize("bottleneck", (3, 4, 23, 3)),
    }
)
"""The usual sizes (He et al., table 1)."""


@dataclass(frozen=True, kw_only=True)
class TrunkPlan:
    """What a residual trunk is built of; `steps` are those of the first block of each stage."""

    widths: Sequence[int]
    blocks: Sequence[int]
    block: type[BasicBlock | Bottleneck]
    steps: Sequence[BlockStep]
    averaged: bool = False
    """Whether a shortcut that strides takes means before its convolution, as ResNet-D does."""


class ResidualTrunk(Trunk):
    """Stem and stages; a stage that is dilated widens its view in place of halving the size."""

    def __init__(self, plan: TrunkPlan, stem: nn.Sequential, every: bool = False) -> None:
        super().__init__()
        self.stem, self.every = stem, every
        width, stages, widths = plan.widths[0], [], []
        for inner, count, first in zip(plan.widths, plan.blocks, plan.steps, strict=True):
            blocks = []
            for place in range(count):
                step = first if place == 0 else BlockStep(1, first.dilation, first.dilation)
                blocks.append(plan.block(width, inner, step, plan.averaged))
                width = blocks[-1].outputs
            stages.append(nn.Sequential(*blocks))
            widths.append(width)
        self.stages, self.widths = nn.Sequential(*stages), tuple(widths)

    @property
    def outputs(self) -> int:
        """Channels of the features, after a removal too."""
        last: BasicBlock | Bottleneck = self.stages[-1][-1]  # type: ignore[index]
        return last.outputs

    def begin(self, images: Tensor) -> Tensor:
        """Return what the stem makes of the images."""
        x: Tensor = self.stem(images)
        return x

    def step(self, stage: int, x: Tensor) -> Tensor:
        """Return the features of a stage from those of the one before."""
        found: Tensor = self.stages[stage](x)
        return found

    def cut(self, stages: int) -> None:
        """Drop the stages behind the first `stages`."""
        self.stages, self.widths = nn.Sequential(*list(self.stages)[:stages]), self.widths[:stages]


def residual_trunk(spec: ResidualSpec, channels: int, every: bool = False) -> ResidualTrunk:
    """Return the trunk of a spec for images of `channels` channels, freshly initialised."""
    plan = TrunkPlan(widths=spec.widths, blocks=spec.blocks, block=BLOCKS[spec.block], steps=_steps(spec))
    stem = _stem(channels, spec.widths[0]) if spec.stem == "small" else _deep_stem(channels, spec.widths[0])
    return ResidualTrunk(plan, stem, every)


def build_residual(spec: ResidualSpec, tasks: Mapping[str, Task], channels: int) -> WithHeads:
    """Return a residual trunk for images of `channels` channels, and a head per task, freshly initialised."""
    return on_trunk(spec, tasks, lambda every: residual_trunk(spec, channels, every), frozen_norms=spec.frozen_norms)


def build_resnet(spec: ResnetSpec, tasks: Mapping[str, Task], channels: int) -> WithHeads:
    """Return a ResNet of the usual size (He et al.; variant d: He et al., arXiv 1812.01187), and a head per task."""
    size = entry(SIZES, spec.network, "network")
    dilated = {
        32: [BlockStep(2, 1, 1), BlockStep(2, 1, 1)],
        16: [BlockStep(2, 1, 1), BlockStep(1, 2, 1)],
        8: [BlockStep(1, 2, 1), BlockStep(1, 4, 2)],
    }
    steps = [BlockStep(1, 1, 1), BlockStep(2, 1, 1), *dilated[spec.output_stride]]  # as torchvision and timm dilate
    plan = TrunkPlan(
        widths=WIDTHS, blocks=size.blocks, block=BLOCKS[size.block], steps=steps, averaged=spec.variant == "d"
    )

    def trunk(every: bool) -> ResidualTrunk:
        stem = _deep_stem(channels, WIDTHS[0]) if spec.variant == "d" else _plain_stem(channels, WIDTHS[0])
        return ResidualTrunk(plan, stem, every)

    return on_trunk(spec, tasks, trunk, frozen_norms=spec.frozen_norms)


def _steps(spec: ResidualSpec) -> list[BlockStep]:
    """Return the stride and the dilation of each stage: i halves the size for i > 0, or is dilated among the last."""
    dilation, steps = 1, []
    for stage in range(len(spec.widths)):
        widens = spec.dilated and stage > 0 and stage >= len(spec.widths) - 2
        dilation = 2 * dilation if widens else dilation
        steps.append(BlockStep(2 if stage > 0 and not widens else 1, dilation, dilation))
    return steps


def _stem(channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(conv_norm(channels, width, 3, 2), nn.ReLU())


def _plain_stem(channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(conv_norm(channels, width, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1))


def _deep_stem(channels: int, width: int) -> nn.Sequential:
    widths = [channels, max(width // 2, 1), max(width // 2, 1), width]
    layers: list[nn.Module] = []
    for i, (inputs, outputs) in enumerate(pairwise(widths)):
        layers += [conv_norm(inputs, outputs, 3, 2 if i == 0 else 1), nn.ReLU()]
    return nn.Sequential(*layers, nn.MaxPool2d(3, 2, 1))


def _around(inputs: int, outputs: int, step: BlockStep, averaged: bool) -> nn.Module:
    if inputs == outputs and step.stride == 1:
        return nn.Identity()
    if averaged:
        return nn.Sequential(_mean(step), *conv_norm(inputs, outputs, 1))
    return conv_norm(inputs, outputs, 1, step.stride)


def _mean(step: BlockStep) -> nn.Module:
    """Return the mean before the convolution of a shortcut; where dilation stands for a stride, at every place."""
    if step.stride > 1:
        return nn.AvgPool2d(step.stride, step.stride, ceil_mode=True, count_include_pad=False)
    if step.dilation > 1:
        return nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.AvgPool2d(2, 1))  # as timm keeps the size
    return nn.Identity()
