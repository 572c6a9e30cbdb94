"""What moves while training: weights, optimiser, strength, how far it is, and what has been removed by now.

After a removal the network that trains is smaller than the one that was built. Everything that is reported stays in the
terms of the dense network: its channels, its counts, its graph. There what was removed is zero.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import nn

from winnow.engine.graph.graph import ChannelGraph
from winnow.engine.graph.partition import Labels
from winnow.engine.pruning.kept import dense_state
from winnow.engine.sparsity.counts import Counts
from winnow.engine.sparsity.proximal import Proximal
from winnow.engine.sparsity.strength import Controller
from winnow.engine.specs.train import TrainSpec
from winnow.engine.tasks.task import Task
from winnow.engine.training.averaging import WeightMeans
from winnow.engine.training.balancing.balancer import Balancer
from winnow.engine.training.batches import Batches
from winnow.engine.training.distillation import Distillation
from winnow.engine.training.distributed.ranks import ALONE, Ranks


@dataclass
class Training:
    """A training as it stands.

    `graph` is that of the network as built; its model is `net` until something is removed, and afterwards the place
    for the dense weights that a report looks at. `stays` says which of the dense network's entries are left,
    {tensor: {axis: entries}}. `removal` is the step of the last removal that was due, whether or not it found anything.
    `ranks` are the processes that train it together, each with its slice of every batch. `shared` names the parameters
    that serve several tasks, at which task gradients are compared. `teacher` is imitated, where there is one.
    `held_out` are training images that no step is taken on, where a strength is learned from them, and `means` the
    weights that it is learned at. `stream` is what torch was seeded with, where code of the user's own might
    seed it again.
    """

    spec: TrainSpec
    net: nn.Module
    tasks: Mapping[str, Task]
    graph: ChannelGraph
    proximal: Proximal
    counts: Counts
    controller: Controller
    balancer: Balancer
    device: torch.device
    step: int = 0
    stays: dict[str, dict[int, Labels]] = field(default_factory=dict)
    removal: int = 0
    ranks: Ranks = ALONE
    shared: frozenset[str] = frozenset()
    teacher: Distillation | None = None
    held_out: Batches | None = None
    means: WeightMeans | None = None
    stream: int | None = None

    def shared_parameters(self) -> tuple[nn.Parameter, ...]:
        """Return the parameters that serve several tasks."""
        return tuple(parameter for name, parameter in self.net.named_parameters() if name in self.shared)

    def dense_graph(self) -> ChannelGraph:
        """Return the graph of the dense network with the weights as they stand, zero where something was removed."""
        model = self.graph.model
        if model is not self.net:
            model.load_state_dict(dense_state(self.net.state_dict(), self.stays, model.state_dict()))
        return self.graph
