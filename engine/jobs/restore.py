"""The network of a run as its newest checkpoint left it, for those who do something with the result. Only reads.

It is the dense network: what was removed while training stands in it as zeros, at its own place.
"""

import json
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from winnow.data.sample import Field
from winnow.engine.networks.multitask import MultiTaskNet, build_network
from winnow.engine.runs.run import Run
from winnow.engine.specs.network import parse_network
from winnow.engine.specs.train import OptimiserSpec
from winnow.engine.tasks.build import build_tasks
from winnow.engine.tasks.task import Task
from winnow.engine.training.checkpoint import Checkpoint, newest_checkpoint
from winnow.engine.training.optimisers import build_optimizer


@dataclass(frozen=True)
class Restored:
    """A run's network in evaluation mode, its tasks, how far it was trained, and the checkpoints that were damaged."""

    net: MultiTaskNet
    tasks: dict[str, Task]
    epoch: int
    step: int
    moments: dict[int, dict[str, Tensor]]
    skipped: list[str]

    def optimizer(self, spec: OptimiserSpec, model: nn.Module) -> Optimizer:
        """Return an optimiser of a model of the network's shapes that stands where the run's own stood."""
        optimizer = build_optimizer(spec, model.parameters())
        described = optimizer.state_dict()
        own = range(len(list(model.parameters())))  # behind them come the balancer's
        state = {index: self.moments[index] for index in own if index in self.moments}
        optimizer.load_state_dict({**described, "state": state})
        return optimizer


def restore(run: Run, device: torch.device) -> Restored:
    """Return a run's network from its newest checkpoint whose bytes are those of its manifest.

    Raises:
        ValueError: there is none yet, or all are damaged.

    """
    found, skipped = newest_checkpoint(run.path / "weights")
    if found is None:
        damaged = f"only damaged ones: {', '.join(skipped)}" if skipped else "none"
        raise ValueError(f"`run` should hold a checkpoint. Found {damaged} in {run.id}.")
    document = json.loads((run.path / "weights" / "network.json").read_text())
    fields = {name: _field(values) for name, values in document["tasks"].items()}
    tasks = build_tasks(fields, tuple(fields))
    net = build_network(parse_network(document["network"]), tasks, document["channels"])
    return _restored(net.to(device), tasks, found, skipped)


def _restored(net: MultiTaskNet, tasks: dict[str, Task], found: Checkpoint, skipped: list[str]) -> Restored:
    net.load_state_dict(found.dense(net))
    net.eval()
    epoch, step = (int(found.manifest[name]) for name in ("epoch", "step"))
    return Restored(net, tasks, epoch, step, found.dense_moments(net), skipped)


def _field(values: dict[str, object]) -> Field:
    return Field(**{**values, "classes": tuple(values.get("classes", ()))})  # type: ignore[arg-type]
