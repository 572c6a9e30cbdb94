"""The forms that a smaller model can have: its own class, its own class without the parts of other tasks, a program.

The own class is preferred, since everything that knows it goes on working and nothing of its code is frozen. A program
drawn by torch.fx serves only if one drawing holds for all calls; what it takes for granted it checks when it runs.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, fx, nn

from winnow.engine.graph.calls import Call
from winnow.engine.graph.graph import ChannelGraph
from winnow.engine.pruning.guards import only_shape, only_value
from winnow.engine.pruning.modes import follow_mode
from winnow.engine.pruning.plan import Plan
from winnow.engine.pruning.program import Program


class Absent(nn.Module):
    """A part of a model that only other tasks used: it gives nothing."""

    def forward(self, *_: Any, **__: Any) -> None:
        """Return None."""


class KeepTasks:
    """A hook behind the forward pass that leaves out the outputs of other tasks."""

    def __init__(self, tasks: Sequence[str]) -> None:
        self.tasks = tuple(tasks)

    def __call__(self, model: nn.Module, args: Any, result: Any) -> dict[str, Any]:
        """Return the entries of the tasks, in the model's order."""
        return {name: part for name, part in result.items() if name in self.tasks}


def without_others(twin: nn.Module, plan: Plan, tasks: Sequence[str], emptied: bool) -> nn.Module:
    """Return a copy in its own class without the parts that only other tasks ran.

    Entries of an nn.ModuleDict go. With `emptied`, other such parts become `Absent`, and a hook leaves their outputs
    out.
    """
    idle = plan.gone
    for path, module in list(twin.named_modules()):
        for name in list(module._modules) if isinstance(module, nn.ModuleDict) else []:
            if f"{path}.{name}".lstrip(".") in idle:
                del module[name]
    if emptied:
        for path in sorted(idle):
            parent, _, name = path.rpartition(".")
            held = twin.get_submodule(parent)._modules if _there(twin, path) else {}
            if name in held and not _inside_absent(twin, path):
                held[name] = Absent()
        twin.register_forward_hook(KeepTasks(tasks))
    return twin


def _there(model: nn.Module, path: str) -> bool:
    try:
        model.get_submodule(path)
    except AttributeError:
        return False
    return True


def _inside_absent(model: nn.Module, path: str) -> bool:
    parts = path.split(".")
    return any(
        isinstance(model.get_submodule(".".join(parts[:place])), Absent | nn.ModuleDict) and place == len(parts) - 1
        for place in range(1, len(parts))
    )


def as_program(plan: Plan, twin: nn.Module, program: Program, call: Call) -> fx.GraphModule:
    """Return the smaller model as the program that was drawn, which checks what it holds for."""
    model = plan.graph.model
    follow_mode(program.fx_graph)
    _check_inputs(program.fx_graph, plan.graph, call)
    small = fx.GraphModule(twin, program.fx_graph, type(model).__name__)
    modes = {name: module.training for name, module in model.named_modules()}
    for name, module in small.named_modules():
        module.training = modes.get(name, model.training)
    return small


def fixes_sizes(graph: ChannelGraph) -> bool:
    """Whether a program holds for the sizes of the example alone: they are numbers in it, or decided about it."""
    return graph.fixed_sizes or bool(graph.decisions)


def _check_inputs(fx_graph: fx.Graph, graph: ChannelGraph, call: Call) -> None:
    """Let a program look at its plain arguments, and at shapes where it fixed sizes."""
    named = call.named(graph.model)
    inputs = [node for node in fx_graph.nodes if node.op == "placeholder"]
    for node in inputs:
        value = named.get(str(node.target), ("", None))[1]
        with fx_graph.inserting_after(inputs[-1]):
            if isinstance(value, Tensor):
                if fixes_sizes(graph):
                    checked = fx_graph.call_function(only_shape, (node, tuple(value.shape)))
                    node.replace_all_uses_with(checked, delete_user_cb=lambda user, own=checked: user is not own)
            elif value is None or isinstance(value, bool | int | float | str):
                fx_graph.call_function(only_value, (node, value, str(node.target)))
