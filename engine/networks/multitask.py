"""Hard parameter sharing: one trunk, run once per step, and one head per task."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from winnow.engine.specs.network import NetworkSpec
from winnow.engine.tasks.task import Task


class MultiTaskNet(nn.Module):
    """`trunk` and `heads[task]`; forward returns {task: prediction}, dense ones at the size of the image.

    Raises:
        ValueError: a task whose name torch needs for itself (`items`, `type`, …), or cannot take.

    """

    def __init__(self, trunk: nn.Module, heads: Mapping[str, nn.Module]) -> None:
        super().__init__()
        if taken := [task for task in heads if hasattr(self, task) or hasattr(nn.ModuleDict, task) or "." in task]:
            raise ValueError(
                f"`tasks` must not be called like what torch's modules have, nor hold a dot, got {', '.join(taken)}. "
                "Rename the field in the data."
            )
        self.trunk = trunk
        self.heads = nn.ModuleDict(heads)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """(B, C, H, W) → {dense task: (B, outputs, H, W), other task: (B, outputs)}."""
        features = self.trunk(images)
        return self.read(dict.fromkeys(self.heads, features), images.shape[-2:])

    def read(self, views: Mapping[str, Tensor], size: torch.Size) -> dict[str, Tensor]:
        """Return each head's prediction from its view of the features, dense ones at `size`."""
        return {task: _to_size(head(views[task]), size) for task, head in self.heads.items()}


def build_network(spec: NetworkSpec, tasks: Mapping[str, Task], channels: int) -> nn.Module:
    """Return the network that the spec describes, for images of `channels` channels, freshly initialised."""
    net: nn.Module = spec.build.load()(spec, tasks, channels)
    return net


def _to_size(prediction: Tensor, size: torch.Size) -> Tensor:
    if prediction.dim() == 2:
        return prediction
    return functional.interpolate(prediction, size=list(size), mode="bilinear", align_corners=False)
