"""The forms that a smaller model can have: its own class, its own class without the parts of other tasks, a program.

The own class is preferred, since everything that knows it goes on working and nothing of its code is frozen. A program
drawn by torch.fx serves only if one drawing holds for all calls; what it takes for granted it checks when it runs.

A module of which nothing comes but zeros (an expert of a mixture whose last layer is zero, the MLP of a dead branch)
gives its place to one that gives zeros, and its weights are gone. Only modules are replaced that take a tensor (…, C)
and give one (…, D) on the same places, for their zeros need no more than the shape of what comes in.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from winnow.engine.graph.calls import Call, in_modes, run
from winnow.engine.graph.carriers import Carrier
from winnow.engine.graph.experts import result_of, sources_of
from winnow.engine.graph.graph import ChannelGraph
from winnow.engine.graph.modes import in_mode, undisturbed
from winnow.engine.pruning.fitting import Unfit, kept_around
from winnow.engine.pruning.guards import only_shape, only_value
from winnow.engine.pruning.plan import Plan, above
from winnow.engine.pruning.program import Program
from winnow.engine.pruning.selecting import Zeros
from winnow.engine.pruning.shrinking import CutWeight, shrunk

INSIDE = ":inside"
MODE_AT = {  # the place of `training` among the arguments
    **dict.fromkeys(("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"), 2),
    **dict.fromkeys(("batch_norm",), 5),
}


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


def smaller_program(plan: Plan, call: Call) -> tuple[Plan, nn.Module, dict[str, CutWeight]]:
    """Shrink, and copy the program with the sizes that it names put right; what does not fit stays.

    The plan says what stayed; the program comes with the cuts of its weights.
    """
    plan = plan.running("program")
    inputs = {name: value for name, (how, value) in call.named(plan.graph.model).items() if how == "given"}
    while True:
        twin, cuts = shrunk(plan.graph.model, plan.liveness, plan.readings())
        for name, constant in plan.graph.tensor_constants.items():
            setattr(twin, name, constant.clone())
        try:
            with undisturbed(twin), torch.no_grad():
                program = Program(plan, twin, inputs)
        except Unfit as unfit:
            plan = kept_around(plan, unfit)
            continue
        return plan, as_program(plan, twin, program, call), cuts


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
            if isinstance(value, Tensor) and fixes_sizes(graph):
                checked = fx_graph.call_function(only_shape, (node, tuple(value.shape)))
                node.replace_all_uses_with(checked, delete_user_cb=lambda user, own=checked: user is not own)
            elif value is None or isinstance(value, bool | int | float | str):
                fx_graph.call_function(only_value, (node, value, str(node.target)))


def follow_mode(fx_graph: fx.Graph) -> None:
    """Let dropout and batch norm as functions, drawn in evaluation mode, ask for the mode again.

    A model that passes False whatever its mode differs then in training mode, and the proof says so.
    """
    for node in list(fx_graph.nodes):
        place = MODE_AT.get(getattr(node.target, "__name__", "")) if node.op == "call_function" else None
        if place is None or (node.args[place] if place < len(node.args) else node.kwargs.get("training")) is not False:
            continue
        with fx_graph.inserting_before(node):
            mode = fx_graph.create_node("get_attr", "training")
        if place < len(node.args):
            node.args = (*node.args[:place], mode, *node.args[place + 1 :])
        else:
            node.kwargs = {**node.kwargs, "training": mode}


def silent_modules(plan: Plan, twin: nn.Module, calls: Sequence[Call]) -> dict[str, int]:
    """Return the modules of a smaller model that could be `Zeros`, with their widths, none inside another.

    Whatever leaves such a module must be zero by the weights, not just on an example.
    """
    modules = dict(twin.named_modules())
    names = [name for name in _giving_zeros(plan) if name in modules and any(True for _ in modules[name].parameters())]
    names = [name for name in names if not isinstance(modules[name], nn.MultiheadAttention) and _alone(twin, name)]
    widths: dict[str, int] = {}
    handles = [modules[name].register_forward_hook(_looking(name, widths), with_kwargs=True) for name in names]
    try:
        for call in in_modes(calls) if names else ():
            _run(twin, call)
    finally:
        for handle in handles:
            handle.remove()
    found = {name: width for name, width in widths.items() if width}
    return {name: width for name, width in sorted(found.items()) if not (above(name) - {name}) & set(found)}


def may_be_silent(plan: Plan) -> bool:
    """Whether any module could give nothing but zeros: an operation is dead as a whole, or a layer is zero."""
    return bool(plan.hollow) or any(plan.liveness.is_zero(product) for product in plan.graph.products)


def _giving_zeros(plan: Plan) -> list[str]:
    """Return the modules of which whatever is used outside is constantly zero."""
    graph, known = plan.graph, plan.liveness.known()
    path_of = {event.node: above(event.path) for event in graph.events}
    within = [path_of.get(carrier.node.removesuffix(INSIDE), set()) for carrier in graph.carriers]
    used: dict[int, list[set[str]]] = {end: [set()] for ends in graph.ends.values() for end in ends}
    for step in graph.steps:
        result = result_of(step)
        for source in sources_of(step):
            used.setdefault(source, []).append(set() if result is None else within[result])
    last = {carrier.index for carrier in graph.carriers if _along_the_last(carrier)}
    zero = {i for i in used if i in last and i in known and bool((known[i] == 0).all())}
    found = []
    for name in sorted(set().union(*(within[i] for i in zero))):
        leaving = [i for i, users in used.items() if name in within[i] and any(name not in paths for paths in users)]
        if leaving and zero.issuperset(leaving):
            found.append(name)
    return found


def _along_the_last(carrier: Carrier) -> bool:
    """Whether the channels of a tensor lie along its last dimension."""
    labels = carrier.labels.shape
    return bool(labels) and labels[-1] == carrier.shape[-1] and all(length == 1 for length in labels[:-1])


def _run(twin: nn.Module, call: Call) -> None:
    """Run a model on a call; where it does not run in training mode, nothing is seen of it."""
    with undisturbed(twin), torch.no_grad():
        state = {name: buffer.clone() for name, buffer in twin.named_buffers()}
        try:
            with in_mode(twin, bool(call.training)):
                run(twin, call.changed(lambda leaf: leaf.detach().clone()))
        except Exception:
            if not call.training:
                raise
        finally:
            for name, buffer in twin.named_buffers():
                buffer.copy_(state[name])


def _looking(name: str, widths: dict[str, int]) -> Any:
    def hook(_: nn.Module, args: Any, kwargs: Any, result: Any) -> None:
        plain = len(args) == 1 and not kwargs and isinstance(args[0], Tensor) and isinstance(result, Tensor)
        alike = plain and args[0].dim() > 1 and args[0].shape[:-1] == result.shape[:-1]
        alike = alike and args[0].is_floating_point() and args[0].dtype == result.dtype
        fits = alike and result is not args[0] and not bool(result.any())
        widths[name] = result.shape[-1] if fits and widths.get(name) != 0 else 0

    return hook


def _alone(twin: nn.Module, path: str) -> bool:
    """Whether nothing outside of a module holds any of its parts, and no hook hangs on them."""
    whole = twin.get_submodule(path)
    parts = {id(part) for part in whole.modules()} | {id(parameter) for parameter in whole.parameters()}
    outside = (name for name, _ in _everything(twin) if name != path and not name.startswith(f"{path}."))
    held = dict(_everything(twin))
    hooked = any(part._forward_hooks or part._forward_pre_hooks for part in whole.modules())
    return not hooked and not any(id(held[name]) in parts for name in outside)


def _everything(model: nn.Module) -> Iterator[tuple[str, Any]]:
    yield from model.named_modules(remove_duplicate=False)
    yield from model.named_parameters(remove_duplicate=False)


def without_silent(plan: Plan, twin: nn.Module, calls: Sequence[Call]) -> tuple[Plan, tuple[str, ...]]:
    """Put `Zeros` in the place of modules of a smaller model; return the plan without them, and their paths.

    Raises:
        Unfit: there are none.

    """
    widths = silent_modules(plan, twin, calls)
    if not widths:
        raise Unfit("the model", "no module gives nothing but zeros", np.zeros(1, np.int64))
    for path, width in widths.items():
        parent, _, name = path.rpartition(".")
        layer = Zeros(width)
        layer.training = twin.get_submodule(path).training
        setattr(twin.get_submodule(parent), name, layer)
    hollow = tuple(place for place in plan.hollow if not above(place) & set(widths))
    return replace(plan, hollow=hollow), tuple(widths)
