"""What a job on a run's result works with: the network from the newest checkpoint, and images. The run is only read.

The network is the dense one: what was removed during training is in it as zeros, at its own place.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from winnow.data.recorded import RecordedData
from winnow.data.sample import Field
from winnow.engine.jobs.network_file import fields_of, read_document, read_network
from winnow.engine.jobs.run_data import Say, prepare, run_images
from winnow.engine.jobs.sample import sampled_targets
from winnow.engine.runs.run import Run
from winnow.engine.specs.explain import ExplainSpec
from winnow.engine.specs.train import OptimiserSpec
from winnow.engine.tasks.build import build_tasks
from winnow.engine.tasks.task import Task
from winnow.engine.tasks.unspecified import Unspecified
from winnow.engine.training.balancing.probe import probed_weights
from winnow.engine.training.batches import Batches
from winnow.engine.training.checkpoint import Checkpoint, newest_checkpoint
from winnow.engine.training.optimisers import build_optimizer


@dataclass(frozen=True)
class Restored:
    """A run's network in evaluation mode, its tasks, its epoch and step, and the checkpoints that were damaged.

    `weights` are those of the task losses where they are fixed: given by the user, or found by a probe.
    """

    net: nn.Module
    tasks: dict[str, Task]
    epoch: int
    step: int
    moments: dict[int, dict[str, Tensor]]
    skipped: list[str]
    weights: Mapping[str, float] = field(default_factory=dict)

    def optimizer(self, spec: OptimiserSpec, model: nn.Module) -> Optimizer:
        """Return an optimiser for a model with the network's shapes, in the state of the run's own optimiser."""
        optimizer = build_optimizer(spec, model.named_parameters())
        described = optimizer.state_dict()
        place = {id(parameter): index for index, parameter in enumerate(model.parameters())}
        ordered = [place[id(parameter)] for group in optimizer.param_groups for parameter in group["params"]]
        state = {number: self.moments[index] for number, index in enumerate(ordered) if index in self.moments}
        optimizer.load_state_dict({**described, "state": state})
        return optimizer


def restored_network(run: Run, device: torch.device) -> Restored:
    """Return a run's network from its newest intact checkpoint.

    Raises:
        ValueError: there is none yet, all are damaged, or the user's code is needed and not confirmed.

    """
    found, skipped = newest_checkpoint(run.path / "weights")
    if found is None:
        damaged = f"only damaged ones: {', '.join(skipped)}" if skipped else "none"
        raise ValueError(f"`run` must hold an intact checkpoint, got {damaged} in {run.id}. Train an epoch first.")
    document = read_document(run.path / "weights")
    tasks = _tasks(run, fields_of(document))
    net = read_network(run.path / "weights", document, tasks).to(device)
    net.load_state_dict(found.dense(net))
    net.eval()
    epoch, step = (int(found.manifest[name]) for name in ("epoch", "step"))
    return Restored(
        net, tasks, epoch, step, found.dense_moments(net, document.get("parameters")), skipped, _weights(run, found)
    )


def _weights(run: Run, found: Checkpoint) -> Mapping[str, float]:
    """Return the fixed weights of the task losses; none where the balancing has none."""
    balancing = run.spec.balancing
    if balancing.balancing != "auto":
        return balancing.task_weights
    state = found.part("balancer")
    return dict(zip(run.spec.tasks, probed_weights(state["squares"], state["seen"]).tolist(), strict=True))


def _tasks(run: Run, fields: Mapping[str, Field]) -> dict[str, Task]:
    """Return the tasks; those of a recorded run without targets are only outputs."""
    if not isinstance(run.spec.data, RecordedData):
        return build_tasks(fields, tuple(fields))
    known = sampled_targets(run)
    return {
        name: build_tasks(fields, (name,))[name] if name in known else Unspecified(field)
        for name, field in fields.items()
    }


@dataclass(frozen=True)
class ExplainedRun:
    """A run's network and tasks, the images, how many they are, the step of the checkpoint, and the trunk if named."""

    net: nn.Module
    tasks: dict[str, Task]
    batches: Batches
    step: int
    images: int
    trunk: tuple[str, ...]

    @property
    def described(self) -> dict[str, Task | None]:
        """The tasks as an explanation takes them: None for one of which only the output is known."""
        return {name: None if isinstance(task, Unspecified) else task for name, task in self.tasks.items()}


def explained_run(run: Run, spec: ExplainSpec, say: Say = lambda phase: None) -> ExplainedRun:
    """Return the network of a run and the images that the explanation asks for.

    Raises:
        ValueError: the run has no intact checkpoint, or the device does not exist.

    """
    device = prepare(spec.threads, spec.device, own_code=run.spec.steps_in_own_code)
    restored = restored_network(run, device)
    unspecified = [name for name, task in restored.tasks.items() if isinstance(task, Unspecified)]
    if unspecified and spec.of == "loss":
        raise ValueError(
            f"`of` must be output where a task has no known loss, got loss, and {', '.join(unspecified)} without. Use "
            "--of output, or give record() its `tasks` and `loader`."
        )
    images = run_images(run, restored.tasks, spec.split, device, say, spec.images)
    named = getattr(run.spec.network, "trunk", ())
    return ExplainedRun(restored.net, restored.tasks, images, restored.step, images.images, named)
