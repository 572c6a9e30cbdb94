"""Networks of the user's own: built by their function, and checked before the first step."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from winnow.data.blame import users_code
from winnow.data.sample import Field
from winnow.engine.graph.modes import evaluating
from winnow.engine.specs.network import OwnSpec, RecordedSpec
from winnow.engine.tasks.surroundings import surroundings_kept
from winnow.engine.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class TaskField(Field):
    """What a network is told about a task: its field, and how many numbers it is to give, per pixel or per image."""

    outputs: int


def build_own(spec: OwnSpec, tasks: Mapping[str, Task], channels: int) -> nn.Module:
    """Return the network that the user's function builds for these tasks, on the CPU.

    The function is called as function(fields, **options), with `channels` too where it takes that.

    Raises:
        ValueError: the code is not there, was not confirmed on this machine, refuses the options, or gives no module.

    """
    with surroundings_kept("network"):
        return _built(spec, tasks, channels)


def _built(spec: OwnSpec, tasks: Mapping[str, Task], channels: int) -> nn.Module:
    function = spec.own_code().load()
    if isinstance(function, nn.Module):
        raise ValueError(
            f"`network` must name a function that returns a torch module, got a module itself, {spec.code}. Write a "
            "function around it: def build(fields): return …"
        )
    fields = {name: TaskField(**vars(task.field), outputs=task.outputs) for name, task in tasks.items()}
    options = dict(spec.options)
    try:
        bound = inspect.signature(function)
        if "channels" in bound.parameters and "channels" not in options:
            options["channels"] = channels
        bound.bind(fields, **options)
    except TypeError as error:
        raise ValueError(f"`network_option` must suit {spec.code}(fields, **options), got: {error}.") from error
    with users_code("network", spec.code):
        net = function(fields, **options)
    if not isinstance(net, nn.Module):
        raise ValueError(
            f"`network` must be a function that returns a torch module, got {type(net).__name__} from {spec.code}. "
            "Return the module itself."
        )
    return net


def build_recorded(spec: RecordedSpec, tasks: Mapping[str, Task], channels: int) -> nn.Module:
    """Refuse: a recorded network is read from its run folder, and trained in the loop that it came from."""
    raise ValueError(
        f"`network` must be one that Winnow builds to train it, got {spec.name or 'one'} that was recorded. Train it "
        "in your own loop, or give its function: winnow train --network MODULE:FUNCTION"
    )


def refuse_outputs(net: nn.Module, tasks: Mapping[str, Task], example: Tensor) -> None:
    """Raise where a network's outputs are not those of the tasks; `example` (B, C, H, W) is an input.

    Raises:
        ValueError: no dict, a task without an output or an output without a task, another shape, numbers that are none.

    """
    kinds = {own.dtype for own in net.parameters() if own.is_floating_point()}
    if kinds and kinds != {example.dtype}:
        found = ", ".join(sorted(str(kind).removeprefix("torch.") for kind in kinds))
        wanted = str(example.dtype).removeprefix("torch.")
        raise ValueError(f"`network` must hold {wanted} numbers, as its images are, got {found}. Build it in {wanted}.")
    images = torch.cat([example[:1], example[:1]])
    with evaluating(net), torch.no_grad():
        found = net(images)
    if not isinstance(found, Mapping):
        raise ValueError(f"`network` must return a dict {{task: output}}, got {type(found).__name__}.")
    if missing := [task for task in tasks if task not in found]:
        raise ValueError(
            f"`network` must return an output for each task, got none for {', '.join(missing)} beside "
            f"{', '.join(map(str, found)) or 'nothing'}. Name the entries of the dict as the tasks."
        )
    if extra := [str(name) for name in found if name not in tasks]:
        raise ValueError(
            f"`network` must return outputs of the tasks {', '.join(tasks)} alone, got {', '.join(extra)} too. "
            "Leave out of the dict what no task learns."
        )
    for name, task in tasks.items():
        _refuse_output(name, found[name], task, tuple(example.shape[-2:]))


def _refuse_output(name: str, output: object, task: Task, size: Sequence[int]) -> None:
    wanted = (2, task.outputs, *size) if task.field.dense else (2, task.outputs)
    if not isinstance(output, Tensor) or not output.is_floating_point():
        found = output.dtype if isinstance(output, Tensor) else type(output).__name__
        raise ValueError(f"`{name}` must be an output of floating-point numbers, got {found}.")
    if tuple(output.shape) != wanted:
        written = str(wanted).replace("(2,", "(B,")
        got = str(tuple(output.shape)).replace("(2,", "(B,")
        raise ValueError(f"`{name}` must be an output of shape {written}, for {task.field.kind}, got {got}.")
    if not bool(output.isfinite().all()):
        raise ValueError(f"`{name}` must be an output of finite numbers, got NaN or infinity with the first weights.")
