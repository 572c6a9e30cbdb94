"""What a job on a run's result works with: the network from the newest checkpoint, and images. The run is only read.

The network is the dense one: what was removed during training is in it as zeros, at its own place.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from winnow.data.sample import Dataset, Field, Sample
from winnow.data.stacking import stack
from winnow.engine.jobs.run_data import dataset, prepare
from winnow.engine.networks.multitask import MultiTaskNet, build_network
from winnow.engine.runs.run import Run
from winnow.engine.specs.explain import ExplainSpec
from winnow.engine.specs.network import parse_network
from winnow.engine.specs.train import OptimiserSpec
from winnow.engine.tasks.build import build_tasks
from winnow.engine.tasks.task import Task
from winnow.engine.training.batches import Batches
from winnow.engine.training.checkpoint import Checkpoint, newest_checkpoint
from winnow.engine.training.optimisers import build_optimizer

CHUNK = 32  # images at once


@dataclass(frozen=True)
class Restored:
    """A run's network in evaluation mode, its tasks, its epoch and step, and the checkpoints that were damaged."""

    net: MultiTaskNet
    tasks: dict[str, Task]
    epoch: int
    step: int
    moments: dict[int, dict[str, Tensor]]
    skipped: list[str]

    def optimizer(self, spec: OptimiserSpec, model: nn.Module) -> Optimizer:
        """Return an optimiser for a model with the network's shapes, in the state of the run's own optimiser."""
        optimizer = build_optimizer(spec, model.parameters())
        described = optimizer.state_dict()
        own = range(len(list(model.parameters())))  # after them come the balancer's
        state = {index: self.moments[index] for index in own if index in self.moments}
        optimizer.load_state_dict({**described, "state": state})
        return optimizer


def restored_network(run: Run, device: torch.device) -> Restored:
    """Return a run's network from its newest intact checkpoint.

    Raises:
        ValueError: there is none yet, or all are damaged.

    """
    found, skipped = newest_checkpoint(run.path / "weights")
    if found is None:
        damaged = f"only damaged ones: {', '.join(skipped)}" if skipped else "none"
        raise ValueError(f"`run` must hold an intact checkpoint, got {damaged} in {run.id}. Train an epoch first.")
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
    listed = {name: tuple(value) for name, value in values.items() if isinstance(value, list | tuple)}
    return Field(**{**values, **listed})  # type: ignore[arg-type]


@dataclass(frozen=True)
class ExplainedRun:
    """A run's network and tasks, the images, how many they are, and the step of the checkpoint."""

    net: MultiTaskNet
    tasks: dict[str, Task]
    batches: Batches
    step: int
    images: int


@dataclass(frozen=True)
class _First:
    """The first `length` samples of a data set."""

    whole: Dataset
    length: int

    @property
    def name(self) -> str:
        """The name of the whole data set."""
        return self.whole.name

    @property
    def fields(self) -> dict[str, Field]:
        """The fields of the whole data set."""
        return dict(self.whole.fields)

    def __len__(self) -> int:
        return min(self.length, len(self.whole))

    def sample(self, index: int) -> Sample:
        """Return the sample of the whole data set."""
        return self.whole.sample(index)


def explained_run(run: Run, spec: ExplainSpec, progress: Callable[[int, int], None] | None = None) -> ExplainedRun:
    """Return the network of a run and the images that the explanation asks for.

    Raises:
        ValueError: the run has no intact checkpoint, or the device does not exist.

    """
    device = prepare(spec.threads, spec.device)
    restored = restored_network(run, device)
    data = _First(dataset(run.spec, spec.split), spec.images)
    batches = Batches(stack(data, run.spec.tasks, progress), restored.tasks, CHUNK, device)
    return ExplainedRun(restored.net, restored.tasks, batches, restored.step, len(data))
