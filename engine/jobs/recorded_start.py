"""What is known of a user's loop before its first step: graph, tasks, validation batches, spec, all checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from winnow.engine.graph.calls import run
from winnow.engine.graph.graph import ChannelGraph
from winnow.engine.graph.modes import evaluating
from winnow.engine.graph.sharing import parts_of
from winnow.engine.graph.trace import trace
from winnow.engine.jobs.recorded_spec import Told, named_tasks, recorded_spec
from winnow.engine.jobs.sample import LARGEST, Loader
from winnow.engine.networks.own import refuse_outputs
from winnow.engine.sparsity.proximal import Proximal
from winnow.engine.specs.network import RecordedSpec
from winnow.engine.specs.train import TrainSpec
from winnow.engine.tasks.task import Task
from winnow.engine.training.batches import Batch

LONGEST = 500  # characters of an origin
KNOWN = tuple(Told.__annotations__)


@dataclass(frozen=True)
class Started:
    """A loop before its first step; `sample` are the images to store with the run, None where inputs are no images."""

    told: Told
    example: Any
    proximal: Proximal
    graph: ChannelGraph
    tasks: dict[str, Task]
    loader: Loader | None
    sample: Batch | None
    spec: TrainSpec
    device: torch.device


def loop_start(name: str, net: nn.Module, example: Any, proximal: Proximal, told: Told) -> Started:
    """Return what is known of a loop.

    Raises:
        NotTraceable: the channels of the network cannot be followed.
        ValueError: outputs, tasks, groups, batches or settings that do not fit each other.

    """
    if unknown := [option for option in told if option not in KNOWN]:
        raise ValueError(f"`record` takes {', '.join(KNOWN)}, got {', '.join(unknown)}.")
    graph = trace(net, example)
    with evaluating(graph.model), torch.no_grad():
        found = run(graph.model, graph.calls[0])
    if not isinstance(found, Mapping) or list(found) != list(graph.outputs):
        raise ValueError(f"`net` must return a dict {{task: tensor}}, got {type(found).__name__}. Wrap its forward.")
    trunk = tuple(told.get("trunk", ()))
    if trunk:
        parts_of(graph, trunk)
    tasks = named_tasks(tuple(graph.outputs), told.get("tasks"))
    _refuse_groups(graph.model, proximal)
    device = next(graph.model.parameters()).device
    loader, sample = _images(graph.model, example, tasks, told, device)
    network = RecordedSpec(name=type(graph.model).__name__, trunk=trunk, origin=told.get("origin", "")[:LONGEST])
    spec = recorded_spec(name, told, proximal, tasks, network, 0 if sample is None else len(sample.images))
    return Started(told, example, proximal, graph, tasks, loader, sample, spec, device)


def _images(
    net: nn.Module, example: Any, tasks: dict[str, Task], told: Told, device: torch.device
) -> tuple[Loader | None, Batch | None]:
    """Return the validation batches, and the images to store: the first of them, or the example."""
    images = isinstance(example, Tensor) and example.dim() == 4
    if "loader" in told:
        if "tasks" not in told:
            raise ValueError("`tasks` must be given with `loader`, got none: nothing says how to judge an output.")
        if not images:
            raise ValueError(
                "`loader` must be left out where `example` is no batch (B, C, H, W). Give `run.epoch` metrics."
            )
    if images and "tasks" in told:
        refuse_outputs(net, tasks, example)
    if "loader" in told:
        loader = Loader.read(told["loader"], tasks, device, LARGEST)
        return loader, loader.sample
    return None, Batch(example[:LARGEST], {}) if images else None


def _refuse_groups(net: nn.Module, proximal: Proximal) -> None:
    """Raise where the optimiser penalises another network."""
    own = {id(parameter) for parameter in net.parameters()}
    foreign = [bank.layer for bank in proximal.banks for parameter in bank.parameters if id(parameter) not in own]
    if foreign:
        raise ValueError(f"`proximal` must hold groups of `net`, got those of another network in {foreign[0]}.")


class HeldStrength:
    """The strength of a loop without a controller: `base` is that of the proximal step."""

    def __init__(self, proximal: Proximal) -> None:
        self._proximal = proximal

    @property
    def base(self) -> float:
        """The strength λ."""
        return self._proximal.strength

    @base.setter
    def base(self, value: float) -> None:
        self._proximal.strength = value

    def before(self, step: int) -> None:
        """Leave it as it is."""
