"""A mixture of experts with a gate per task (Ma et al., MMoE, KDD 2018), for vectors and sequences.

A vector is an image of 1 × 1 pixels, a sequence one of 1 × T: its channels are the numbers at each time. Of a sequence,
experts are convolutions over time, whose result is averaged over it, and gates read its mean.
"""

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn

from winnow.engine.networks.heads import ClassifierHead
from winnow.engine.networks.multitask import WithHeads
from winnow.engine.specs.network import MmoeSpec
from winnow.engine.tasks.task import Task


def build_experts(spec: MmoeSpec, tasks: Mapping[str, Task], channels: int) -> WithHeads:
    """Return experts for inputs of `channels` numbers, gates and heads, freshly initialised.

    Raises:
        ValueError: a task with a value at every pixel.

    """
    if dense := [name for name, task in tasks.items() if task.field.dense]:
        raise ValueError(
            f"`network` must not be mmoe for dense tasks, got {', '.join(dense)}. Choose a resnet, or leave the task "
            "out."
        )
    return ExpertsNet(spec, {name: task.outputs for name, task in tasks.items()}, channels)


class ExpertsNet(WithHeads):
    """z_t = Σ_e softmax(G_t x̄)_e · expert_e(x) for each task t, and a head on it.

    Raises:
        ValueError: inputs of more than one row.

    """

    experts: nn.ModuleList
    gates: nn.ModuleDict

    def __init__(self, spec: MmoeSpec, outputs: Mapping[str, int], channels: int) -> None:
        width = spec.expert_width
        heads = {name: ClassifierHead(width, spec.head_width, count) for name, count in outputs.items()}
        experts: list[nn.Module] = [_expert([channels, *[width] * spec.layers], spec.view) for _ in range(spec.experts)]
        gates = nn.ModuleDict({name: nn.Linear(channels, spec.experts) for name in outputs})
        super().__init__({"experts": nn.ModuleList(experts), "gates": gates}, heads)

    def forward(self, inputs: Tensor) -> dict[str, Tensor]:
        """(B, C, 1, T) → {task: (B, outputs)}."""
        if inputs.shape[2] != 1:
            raise ValueError(
                f"`inputs` must be vectors or sequences, (B, C, 1, T), for mmoe, got {tuple(inputs.shape)}. Choose a "
                "resnet for images."
            )
        x = inputs.squeeze(2)
        found = [expert(x).mean(2) for expert in self.experts]
        mean = x.mean(2)
        return {name: head(self._mixed(name, mean, found)[:, :, None, None]) for name, head in self.heads.items()}

    def _mixed(self, task: str, mean: Tensor, found: list[Tensor]) -> Tensor:
        shares = torch.softmax(self.gates[task](mean), 1)
        mixed = shares[:, :1] * found[0]
        for place, own in enumerate(found[1:], 1):
            mixed = mixed + shares[:, place : place + 1] * own
        return mixed


def _expert(widths: list[int], view: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Conv1d(inputs, outputs, view, padding=view // 2), nn.ReLU()]
    return nn.Sequential(*layers)
