"""`winnow import`: a run of a network that was trained elsewhere, from its code and a file of its weights.

The network is built by the user's function, given its weights, and recorded as a loop of no steps
(`engine.jobs.recording`). Weights that are frozen count like the others. Groups, pruning and explanations work on the
run at once; nothing is trained.
"""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from winnow.data.blame import error_line, users_code, users_line
from winnow.data.sample import Field
from winnow.data.spec import DataSpec
from winnow.data.stacking import stack
from winnow.engine.graph.graph import ChannelGraph
from winnow.engine.graph.trace import trace
from winnow.engine.jobs.recorded_spec import Told
from winnow.engine.jobs.recording import record
from winnow.engine.jobs.run_data import CHUNK, First
from winnow.engine.jobs.sample import LARGEST
from winnow.engine.networks.own import build_own
from winnow.engine.runs.digests import digest
from winnow.engine.runs.run import Run
from winnow.engine.sparsity.penalties import GroupLasso
from winnow.engine.sparsity.proximal import Proximal
from winnow.engine.specs.network import OwnSpec
from winnow.engine.specs.penalty import PenaltySpec
from winnow.engine.tasks.build import build_tasks
from winnow.engine.tasks.surroundings import surroundings_kept
from winnow.engine.training.batches import Batches
from winnow.engine.training.setup import build_groups
from winnow.engine.training.weights_file import put_weights, read_weights


@dataclass(frozen=True)
class Import:
    """What is imported: a file of weights, the network's function, an example's shape or data, and which groups."""

    name: str
    weights: Path
    network: OwnSpec
    shape: Sequence[int] = ()
    data: DataSpec | None = None
    tasks: Sequence[str] = ()
    groups: str = "coupled"


def import_checkpoint(asked: Import) -> Run:
    """Make the run and return it, done.

    Raises:
        ValueError: code, weights, example, tasks or outputs that do not fit each other; each is named.
        NotTraceable: the channels of the network cannot be followed.

    """
    fields = _fields(asked)
    batches = None if asked.data is None else _batches(asked.data, fields)
    example = torch.rand(*asked.shape) if batches is None else batches.example()
    net = _built(asked.network, fields, int(example.shape[1]))
    put_weights(net, read_weights(asked.weights), str(asked.weights))
    net.eval()
    unfrozen = _unfreeze(net)
    graph, wanted = _traced(net, example), PenaltySpec.model_validate({"groups": asked.groups, "scope": "both"})
    groups = build_groups(wanted.model_copy(update={"strength": 0.0}), net, graph, example, asked.network.trunk)
    proximal = Proximal(torch.optim.SGD(net.parameters(), 1e-3), groups, GroupLasso(0.0))
    told: Told = {"epochs": 1, "trunk": asked.network.trunk, "origin": unfrozen + _origin(asked)}
    if batches is not None:
        told |= {"tasks": fields, "loader": [(batch.images, batch.targets) for batch in batches.in_order()]}
    with record(asked.name, net, example, proximal, **told) as run:
        run.epoch()
    return run.run


def _fields(asked: Import) -> dict[str, Field]:
    if asked.data is None:
        return {}
    known = asked.data.fields
    if unknown := [task for task in asked.tasks if task not in known]:
        raise ValueError(f"`tasks` must be among {', '.join(known)}, got {', '.join(unknown)}.")
    return {task: known[task] for task in asked.tasks or known}


def _batches(data: DataSpec, fields: Mapping[str, Field]) -> Batches:
    tasks = build_tasks(fields, tuple(fields))
    return Batches(stack(First(data.load("val"), LARGEST), tuple(tasks)), tasks, CHUNK, torch.device("cpu"))


def _built(spec: OwnSpec, fields: Mapping[str, Field], channels: int) -> nn.Module:
    """Return the network; where no task is known, a function of the options alone will do."""
    if fields:
        return build_own(spec, build_tasks(fields, tuple(fields)), channels)
    with surroundings_kept("network"):
        function = spec.own_code().load()
        try:
            inspect.signature(function).bind(**spec.options)
        except TypeError as error:
            try:
                inspect.signature(function).bind({}, **spec.options)
            except TypeError as other:
                said = other if str(error).startswith("missing") else error  # it takes fields, and other options
                raise ValueError(f"`network_option` must suit {spec.code}, got: {said}.") from error
            return build_own(spec, {}, channels)
        with users_code("network", spec.code):
            net: Any = function(**spec.options)
    if not isinstance(net, nn.Module):
        raise ValueError(f"`network` must be a function that returns a torch module, got {type(net).__name__}.")
    return net


def _traced(net: nn.Module, example: Tensor) -> ChannelGraph:
    """Return the channel graph; raise `ValueError` where the network's code does not take the example."""
    try:
        return trace(net, example)
    except Exception as raised:
        cause = raised.__cause__  # of the network itself, where `trace` has put words of its own around it
        error = cause if type(raised) is ValueError and isinstance(cause, RuntimeError) else raised
        if isinstance(error, ValueError):  # it says itself what does not fit
            raise
        kind, line = str(example.dtype).removeprefix("torch."), users_line(error)
        raise ValueError(
            f"`example` must be an input that the network takes, {kind} of shape {tuple(example.shape)}, got "
            f"{error_line(error)}{f' in {line}' if line else ''}. Give another shape with --example. A network in "
            "another type must be built in float32; one of indices needs `record`."
        ) from error


def _unfreeze(net: nn.Module) -> str:
    """Let all weights of a network move, and say of how many it is news.

    Nothing is trained here, and what is frozen is in no group: it could be neither seen nor pruned. A refit of a
    pruning trains them all.
    """
    weights = [parameter for parameter in net.parameters() if parameter.is_floating_point()]
    frozen = [parameter for parameter in weights if not parameter.requires_grad]
    for parameter in frozen:
        parameter.requires_grad_(True)
    if not frozen:
        return ""
    return f"{len(frozen)} of {len(weights)} tensors came frozen; they count like the others, and a refit trains them; "


def _origin(asked: Import) -> str:
    code = " ".join(part for part in asked.network.fingerprint().values() if part)
    return f"{code}; {asked.weights.name} {digest(asked.weights.read_bytes())[:16]}"
