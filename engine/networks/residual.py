"""The shared trunk: a residual network (He et al., arXiv 1512.03385), dilated on request (Yu et al., 1705.09914)."""

from collections.abc import Mapping
from itertools import pairwise

from torch import Tensor, nn

from winnow.engine.networks.heads import build_head, conv_norm
from winnow.engine.networks.multitask import MultiTaskNet
from winnow.engine.specs.network import ResidualSpec
from winnow.engine.tasks.task import Task

EXPANSION = 4


def build_residual(spec: ResidualSpec, tasks: Mapping[str, Task], channels: int) -> MultiTaskNet:
    """Return a residual trunk for images of `channels` channels, and a head per task, freshly initialised."""
    trunk = ResidualTrunk(spec, channels)
    heads = {name: build_head(task, spec.head, trunk.outputs, spec.head_width) for name, task in tasks.items()}
    return MultiTaskNet(trunk, heads)


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a way around them."""

    def __init__(self, inputs: int, width: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.conv1 = conv_norm(inputs, width, 3, stride, dilation)
        self.conv2 = conv_norm(width, width, 3, 1, dilation)
        self.around = _around(inputs, width, stride)
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

    def __init__(self, inputs: int, width: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.conv1 = conv_norm(inputs, width, 1)
        self.conv2 = conv_norm(width, width, 3, stride, dilation)
        self.conv3 = conv_norm(width, EXPANSION * width, 1)
        self.around = _around(inputs, EXPANSION * width, stride)
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


class ResidualTrunk(nn.Module):
    """Stem and stages; stage i halves the size for i > 0, or, if dilated and among the last two, widens its view."""

    def __init__(self, spec: ResidualSpec, channels: int) -> None:
        super().__init__()
        block = BasicBlock if spec.block == "basic" else Bottleneck
        self.stem = _stem(spec, channels)
        width, dilation, stages = spec.widths[0], 1, []
        for stage, (inner, count) in enumerate(zip(spec.widths, spec.blocks, strict=True)):
            widens = spec.dilated and stage > 0 and stage >= len(spec.widths) - 2
            dilation = 2 * dilation if widens else dilation
            strides = [2 if stage > 0 and not widens else 1] + [1] * (count - 1)
            blocks = []
            for stride in strides:
                blocks.append(block(width, inner, stride, dilation))
                width = blocks[-1].outputs
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)

    @property
    def outputs(self) -> int:
        """Channels of the features, after a removal too."""
        last: BasicBlock | Bottleneck = self.stages[-1][-1]  # type: ignore[index]
        return last.outputs

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) → features (B, outputs, h, w)."""
        features: Tensor = self.stages(self.stem(x))
        return features


def _stem(spec: ResidualSpec, channels: int) -> nn.Sequential:
    width = spec.widths[0]
    if spec.stem == "small":
        return nn.Sequential(conv_norm(channels, width, 3, 2), nn.ReLU())
    widths = [channels, max(width // 2, 1), max(width // 2, 1), width]
    layers: list[nn.Module] = []
    for i, (inputs, outputs) in enumerate(pairwise(widths)):
        layers += [conv_norm(inputs, outputs, 3, 2 if i == 0 else 1), nn.ReLU()]
    return nn.Sequential(*layers, nn.MaxPool2d(3, 2, 1))


def _around(inputs: int, outputs: int, stride: int) -> nn.Module:
    return nn.Identity() if inputs == outputs and stride == 1 else conv_norm(inputs, outputs, 1, stride)
