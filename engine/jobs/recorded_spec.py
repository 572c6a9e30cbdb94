"""What is known of a user's loop before its first step: what it tells of itself, all checked, and its spec.json."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import torch
from torch import Tensor, nn

from winnow.data.checking.summaries import hardly_metres
from winnow.data.recorded import RecordedData, RecordedField
from winnow.data.sample import Field
from winnow.engine.graph.calls import run
from winnow.engine.graph.graph import ChannelGraph
from winnow.engine.graph.modes import evaluating
from winnow.engine.graph.sharing import parts_of
from winnow.engine.graph.trace import trace
from winnow.engine.jobs.live_changes import hardly_any_steps
from winnow.engine.jobs.sample import LARGEST, Loader, ToldBatches
from winnow.engine.networks.own import refuse_outputs
from winnow.engine.sparsity.proximal import Proximal
from winnow.engine.sparsity.strength import Controller, Targeted
from winnow.engine.specs.balancing import BalancingSpec
from winnow.engine.specs.network import RecordedSpec
from winnow.engine.specs.penalty import PENALTIES, PenaltySpec
from winnow.engine.specs.train import OptimiserSpec, TrainSpec, parse
from winnow.engine.tasks.build import build_tasks
from winnow.engine.tasks.task import Task
from winnow.engine.tasks.unspecified import Unspecified
from winnow.engine.training.batches import Batch

LONGEST = 500  # characters of an origin
LEAST_RATE = 1e-12  # a spec holds rates above 0


class Told(TypedDict, total=False):
    """What a user may tell of their loop beside its network and optimiser; all of it may be left out.

    tasks: what each output is: a `data.sample.Field` or a `Task`. Without: outputs whose metrics the loop gives.
    loader: validation batches (images, {task: target}), read again after each epoch. Without: the metrics are those
        that `run.epoch` is given, and no targets are stored.
    epochs: how many there will be, for the progress.
    batch_size: images of a step, for the pace.
    trunk: modules that the tasks share, by name. Without: found from the graph.
    controller: what sets the strength in the loop; the page then sets its `base`, otherwise that of the optimiser.
    origin: where the network comes from, in words; it is kept in the spec.
    runs: the folder of all runs. Without: WINNOW_RUNS, or runs/ in the working folder.
    """

    tasks: Mapping[str, Task | Field]
    loader: Iterable[Any]
    epochs: int
    batch_size: int
    trunk: Sequence[str]
    controller: Controller
    origin: str
    runs: Path


KNOWN = tuple(Told.__annotations__)


def named_tasks(outputs: Sequence[str], tasks: Mapping[str, Task | Field] | None) -> dict[str, Task]:
    """Return the tasks of a network with these outputs: those given, as tasks or as fields, or all without a kind.

    Raises:
        ValueError: a task without an output, or an output without a task.

    """
    if tasks is None:
        return {name: Unspecified(Field(kind="unspecified")) for name in outputs}
    if not isinstance(tasks, Mapping):
        raise ValueError(f"`tasks` must be {{name: Field or Task}}, got {type(tasks).__name__}.")
    if odd := [
        f"{name} {type(task).__name__}"
        for name, task in tasks.items()
        if not isinstance(task, Field) and not hasattr(task, "loss")
    ]:
        raise ValueError(f"`tasks` must hold a Field of winnow.data.sample or a Task for each, got {', '.join(odd)}.")
    if set(tasks) != set(outputs):
        raise ValueError(f"`tasks` must name the outputs of `net`, {', '.join(outputs)}, got {', '.join(tasks)}.")
    fields = {name: task for name, task in tasks.items() if isinstance(task, Field)}
    made = build_tasks(fields, tuple(fields))
    if empty := [name for name, task in made.items() if task.outputs == 0]:
        raise ValueError(
            f"`classes` must name the classes of {empty[0]} ({fields[empty[0]].kind}), got none. Give Field(kind="
            f'"{fields[empty[0]].kind}", classes=("…", "…")).'
        )
    return {name: made[name] if isinstance(task, Field) else task for name, task in tasks.items()}


def recorded_spec(
    name: str, told: Told, proximal: Proximal, tasks: Mapping[str, Task], network: RecordedSpec, images: int
) -> TrainSpec:
    """Return the spec of a recorded run.

    Raises:
        SpecError: a name or a number that a spec cannot hold.
        ValueError: a penalty that is not registered, or groups of several kinds.

    """
    fields = {name: RecordedField(**vars(task.field)) for name, task in tasks.items()}
    values = {
        "name": name,
        "data": RecordedData(described=fields, images=images),
        "tasks": tuple(tasks),
        "network": network,
        "penalty": _penalty(proximal, told.get("controller")),
        "optimiser": _optimiser(proximal),
        "balancing": BalancingSpec(gradients="parameters"),
        "epochs": told.get("epochs", 1),
        "threads": min(torch.get_num_threads(), 1024),
    }
    if "batch_size" in told:
        values["batch_size"] = told["batch_size"]
    return parse(values)


def _penalty(proximal: Proximal, controller: Controller | None) -> PenaltySpec:
    penalty = proximal.penalty
    kind = next((name for name, own in PENALTIES.items() if own.make.name == type(penalty).__name__), None)
    if kind is None:
        known = ", ".join(own.make.name for own in PENALTIES.values())
        raise ValueError(
            f"`proximal` must have one of the penalties {known}, got {type(penalty).__name__}. Register yours as "
            "docs/adding.md says."
        )
    groups = {bank.kind for bank in proximal.dense_banks}
    if len(groups) > 1:
        raise ValueError(f"`proximal` must have groups of one kind, got {', '.join(sorted(groups))}.")
    parameters = {name: getattr(penalty, name) for name in PENALTIES[kind].parameters}
    weights = getattr(penalty, "weights", "size")
    return PenaltySpec.model_validate(
        {
            "penalty": kind,
            "strength": proximal.strength,
            "groups": groups.pop(),
            "scope": "both",
            "weights": weights,
            "floor": proximal.kept.floor,
            "normalisation": "plain" if all(bank.radius is None for bank in proximal.dense_banks) else "aware",
            **_aim(controller),
            **parameters,
        }
    )


def _aim(controller: Controller | None) -> dict[str, object]:
    """Return the target of a loop that has one. When its refit begins is the loop's own affair."""
    if not isinstance(controller, Targeted) or not 0 < controller.percent < 100:
        return {}
    return {"target": controller.percent, "target_of": controller.of, "refit": 0.0}


def _optimiser(proximal: Proximal) -> OptimiserSpec:
    first = proximal.param_groups[0]
    values = {
        "optimiser": type(proximal.optimizer).__name__.lower(),
        "learning_rate": max(float(first["lr"]), LEAST_RATE),
        "weight_decay": float(first.get("weight_decay", 0.0)),
        "schedule": "constant",
    }
    return OptimiserSpec.model_validate({**values, **({"momentum": first["momentum"]} if "momentum" in first else {})})


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

    def remarked(self, *messages: str) -> str:
        """Return messages with what the tasks leave open: a depth without a unit, or hardly in the one it names."""
        found = [*filter(None, messages)]
        found += filter(None, [hardly_any_steps(self.told.get("controller"), own_loop=True)])
        targets = {} if self.sample is None else self.sample.targets
        for name, task in self.tasks.items():
            if task.field.kind == "depth" and task.field.unit == "1":
                found.append(f'`{name}` has no unit, nor have its errors: give Field(kind="depth", unit="m")')
            elif task.field.kind == "depth" and task.field.unit == "m" and name in targets:
                target = targets[name]
                said = hardly_metres(float(target.sum(dtype=torch.float64) / (target > 0).sum()))
                found += [f"`{name}`: {said}"] * bool(said)
        return "; ".join(found)


def loop_start(name: str, net: nn.Module, example: Any, proximal: Proximal, told: Told) -> Started:
    """Return what is known of a loop.

    Raises:
        NotTraceable: the channels of the network cannot be followed.
        ValueError: outputs, tasks, groups, batches or settings that do not fit each other.

    """
    if unknown := [option for option in told if option not in KNOWN]:
        raise ValueError(f"`record` takes {', '.join(KNOWN)}, got {', '.join(unknown)}.")
    for count in ("epochs", "batch_size"):
        if count in told and (not isinstance(told[count], int) or isinstance(told[count], bool)):
            raise ValueError(f"`{count}` must be a whole number, got {told[count]!r}.")
    if "runs" in told:
        told["runs"] = Path(told["runs"])
        if told["runs"].exists() and not told["runs"].is_dir():
            raise ValueError(f"`runs` must be a folder, got the file {told['runs']}.")
    _refuse_others(proximal, told.get("controller"))
    graph = trace(net, example)
    with evaluating(graph.model), torch.no_grad():
        found = run(graph.model, graph.calls[0])
    _refuse_result(found, graph)
    trunk = tuple(told.get("trunk", ()))
    if trunk:
        parts_of(graph, trunk)
    tasks = named_tasks(tuple(graph.outputs), told.get("tasks"))
    refuse_groups(graph.model, proximal)
    device = next(graph.model.parameters()).device
    loader, sample = _images(graph.model, example, tasks, told, device)
    network = RecordedSpec(name=type(graph.model).__name__, trunk=trunk, origin=told.get("origin", "")[:LONGEST])
    spec = recorded_spec(name, told, proximal, tasks, network, 0 if sample is None else len(sample.images))
    return Started(told, example, proximal, graph, tasks, loader, sample, spec, device)


def _refuse_result(found: object, graph: ChannelGraph) -> None:
    """Raise where a network returns something else than a dict of tensors under names that can be written."""
    if isinstance(found, Mapping):
        odd = [name for name in found if not (isinstance(name, str) and name.isprintable() and name)]
        if odd:
            raise ValueError(
                f"`net` must return a dict whose names are printable texts, got {odd[0]!r}. Name outputs after tasks."
            )
    if not isinstance(found, Mapping) or list(found) != list(graph.outputs):
        raise ValueError(f"`net` must return a dict {{task: tensor}}, got {type(found).__name__}. Wrap its forward.")


def _refuse_others(proximal: object, controller: object) -> None:
    """Raise where the optimiser is no Proximal, or the controller no controller of it."""
    if not isinstance(proximal, Proximal):
        raise TypeError(
            f"`proximal` must be a Proximal, got {type(proximal).__name__}. Wrap the optimiser: Proximal(optimizer, "
            "groups, penalty); where something is around the Proximal, give what is inside."
        )
    if controller is not None and not all(hasattr(controller, name) for name in ("base", "before")):
        raise TypeError(
            f"`controller` must be a Targeted or Scheduled, got {type(controller).__name__}. For a strength of your "
            "own, leave it out and set proximal.strength before each step."
        )
    if getattr(controller, "proximal", proximal) is not proximal:
        raise ValueError(
            "`controller` must set the strength of `proximal`, got one of another optimiser. Make it from this one."
        )


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
        fields = {name: task for name, task in told["tasks"].items() if isinstance(task, Field)}
        loader = Loader.read(told["loader"], ToldBatches(tasks, fields, example), device, LARGEST)
        return loader, loader.sample
    return None, Batch(example[:LARGEST], {}) if images else None


def refuse_groups(net: nn.Module, proximal: Proximal) -> None:
    """Raise where the optimiser penalises another network, or a part of a layer, which pages would count whole."""
    own = {id(parameter) for parameter in net.parameters()}
    foreign = [bank.layer for bank in proximal.banks for parameter in bank.parameters if id(parameter) not in own]
    if foreign:
        raise ValueError(
            f"`proximal` must hold groups of `net`, got those of another network in {foreign[0]}. Record the network "
            "that it trains, not a copy of it; where a layer was replaced, make the groups and the optimiser again."
        )
    for bank in proximal.dense_banks:
        if bank.count < bank.channels:
            raise ValueError(
                f"`proximal` must hold all channels of a layer or none to be recorded, got {bank.count} of "
                f"{bank.channels} of {bank.layer}. Leave that layer out: [own for own in groups if own.layer != "
                f"{bank.layer!r}]. If you left none out, the others cannot go, as an output cannot: then take "
                "`coupled_groups`, in which those that can go are a layer of their own."
            )
