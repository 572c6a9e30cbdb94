"""Hard parameter sharing: one trunk, run once per step, and one head per task."""

from collections.abc import Mapping
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from winnow.engine.specs.trunk import NetworkSpec
from winnow.engine.tasks.task import Task

Features = Tensor | tuple[Tensor, ...]
"""What a head reads: the features (B, C, h, w) of one stage, or of several."""


class WithHeads(nn.Module):
    """Modules that tasks share, by name, and `heads[task]`.

    With `frozen_norms`, batch norms outside of the heads neither learn nor move.

    Raises:
        ValueError: a task whose name torch needs for itself (`items`, `type`, …), or cannot take.

    """

    frozen_norms = False

    def __init__(self, shared: Mapping[str, nn.Module], heads: Mapping[str, nn.Module]) -> None:
        super().__init__()
        if taken := [task for task in heads if hasattr(self, task) or hasattr(nn.ModuleDict, task) or "." in task]:
            raise ValueError(
                "`tasks` must not be named like attributes of torch modules, nor contain a dot, got "
                f"{', '.join(taken)}. Rename the field in the data."
            )
        for name, module in shared.items():
            self.add_module(name, module)
        self.heads = nn.ModuleDict(heads)

    def freeze_norms(self) -> None:
        """Keep the batch norms outside of the heads as they are from now on: statistics, scales and shifts."""
        self.frozen_norms = True
        for norm in self._shared_norms():
            norm.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Change the mode, but for norms that are frozen."""
        super().train(mode)
        if self.frozen_norms:
            for norm in self._shared_norms():
                norm.training = False
        return self

    def _shared_norms(self) -> list[nn.Module]:
        norms = {name: module for name, module in self.named_modules() if isinstance(module, _BatchNorm)}
        return [norm for name, norm in norms.items() if not name.startswith("heads.")]


class MultiTaskNet(WithHeads):
    """`trunk` and `heads[task]`; forward returns {task: prediction}, dense ones at the size of the image."""

    trunk: nn.Module

    def __init__(self, trunk: nn.Module, heads: Mapping[str, nn.Module]) -> None:
        super().__init__({"trunk": trunk}, heads)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """(B, C, H, W) → {dense task: (B, outputs, H, W), other task: (B, outputs)}."""
        features = self.trunk(images)
        return self.read(dict.fromkeys(self.heads, features), images.shape[-2:])

    def read(self, views: Mapping[str, Features], size: torch.Size) -> dict[str, Tensor]:
        """Return each head's prediction from its view of the features, dense ones at `size`."""
        return {task: to_size(head(views[task]), size) for task, head in self.heads.items()}


class Seam:
    """Where trunk and heads meet, as one tensor (B, …): features of several stages lie side by side in it."""

    def __init__(self, net: MultiTaskNet) -> None:
        self._net = net
        self._shapes: list[torch.Size] = []  # of each stage, without the batch; none where there is one

    def features(self, images: Tensor) -> Tensor:
        """Return what the trunk makes of the images."""
        found: Features = self._net.trunk(images)
        if isinstance(found, Tensor):
            return found
        self._shapes = [level.shape[1:] for level in found]
        return torch.cat([level.flatten(1) for level in found], 1)

    def read(self, views: Mapping[str, Tensor], size: torch.Size) -> dict[str, Tensor]:
        """Return each head's prediction from its view of the features, dense ones at `size`."""
        return self._net.read({task: self._levels(view) for task, view in views.items()}, size)

    def _levels(self, view: Tensor) -> Features:
        if not self._shapes:
            return view
        parts = torch.split(view, [shape.numel() for shape in self._shapes], 1)
        return tuple(part.reshape(len(part), *shape) for part, shape in zip(parts, self._shapes, strict=True))


def build_network(spec: NetworkSpec, tasks: Mapping[str, Task], channels: int) -> nn.Module:
    """Return the network that the spec describes, for images of `channels` channels, freshly initialised."""
    net: nn.Module = spec.build.load()(spec, tasks, channels)
    return net


def to_size(prediction: Tensor, size: torch.Size) -> Tensor:
    """Return a dense prediction at the size of the image; another one as it is."""
    if prediction.dim() == 2:
        return prediction
    return functional.interpolate(prediction, size=list(size), mode="bilinear", align_corners=False)
