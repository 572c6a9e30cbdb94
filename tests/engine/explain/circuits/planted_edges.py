"""A network whose weights are written down so that it is known which edges each task uses; everything else leaks."""

from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor, nn

from winnow.engine.networks.multitask import MultiTaskNet

TASKS = ("one", "two")
INPUTS, HIDDEN, LAST = 8, 12, 10
LAYERS = ("trunk.0", "trunk.2")


@dataclass(frozen=True)
class PlantedEdges:
    """The network, images and targets that it meets exactly but for what leaks, and {task: edges (layer, from, to)}."""

    net: nn.Module
    batches: list[tuple[Tensor, dict[str, Tensor]]]
    truth: dict[str, set[tuple[str, int, int]]]


def planted_edges(seed: int = 0, leak: float = 1e-3, images: int = 64) -> PlantedEdges:
    """Return a trunk of two layers and a head per task: each task has chains of its own, and both share some.

    A chain is input → hidden → last channel → head. The shares of the tasks are their own four channels of the input;
    chain 3 of the first task and all of its edges are used by the second one too.
    """
    generator = torch.Generator().manual_seed(seed)
    hidden, last = (torch.randperm(size, generator=generator).tolist() for size in (HIDDEN, LAST))
    weights = [leak * torch.randn(shape, generator=generator) for shape in ((HIDDEN, INPUTS), (LAST, HIDDEN))]
    heads = {task: leak * torch.randn(1, LAST, generator=generator) for task in TASKS}
    chains = {"one": (0, 1, 2, 3), "two": (3, 4, 5, 6)}  # channel 7 of the input is nobody's
    truth: dict[str, set[tuple[str, int, int]]] = {}
    for task, own in chains.items():
        truth[task] = set()
        for chain in own:
            weights[0][hidden[chain], chain] = 1.0
            weights[1][last[chain], hidden[chain]] = 1.0
            heads[task][0, last[chain]] = 1.0
            truth[task] |= {("trunk.0", chain, hidden[chain]), ("trunk.2", hidden[chain], last[chain])}
            truth[task].add((f"heads.{task}", last[chain], 0))
    net = _net(weights, heads)
    given = torch.rand(images, INPUTS, 4, 4, generator=generator) * 2
    targets = {task: given[:, list(own)].sum(1, keepdim=True) for task, own in chains.items()}
    return PlantedEdges(net, [(given, targets)], truth)


def _net(weights: list[Tensor], heads: dict[str, Tensor]) -> nn.Module:
    layers: list[nn.Module] = []
    for weight in weights:
        layers += [_point(weight), nn.ReLU()]
    return MultiTaskNet(nn.Sequential(*layers), {task: _point(weight) for task, weight in heads.items()}).eval()


@torch.no_grad()
def _point(weight: Tensor) -> nn.Conv2d:
    made = nn.Conv2d(weight.shape[1], weight.shape[0], 1)
    made.weight.copy_(weight[:, :, None, None])
    nn.init.zeros_(made.bias)
    return made


def recovered(circuits: pd.DataFrame, column: str, truth: set[tuple[str, int, int]], task: str) -> tuple[float, float]:
    """Return precision and recall of a task's edges."""
    own = circuits[(circuits["task"] == task) & circuits[column]]
    found = set(zip(own["layer"], own["source"], own["destination"], strict=True))
    common = len(found & truth)
    return common / max(len(found), 1), common / len(truth)
