"""`architecture(model, example_inputs)`: a model as a document, which is tried out before it is handed out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from winnow.engine.export.agreement import alike_calls, same_everywhere
from winnow.engine.export.allowed import ATTRIBUTES, FUNCTION_NAMES, GETATTR, METHODS
from winnow.engine.export.arguments import encoded
from winnow.engine.export.both_modes import merged, refuse_fused
from winnow.engine.export.drawing import FROZEN, DrawnGraph, drawn_graph
from winnow.engine.export.layers import described
from winnow.engine.export.rebuilding import rebuild
from winnow.engine.export.rebuilt import Rebuilt
from winnow.engine.export.refusal import NotDescribable, NotRebuildable
from winnow.engine.export.script import Script
from winnow.engine.graph.calls import Call, calls, run
from winnow.engine.graph.containers import flatten
from winnow.engine.graph.examples import is_channels_last
from winnow.engine.graph.memory import refuse_shared
from winnow.engine.graph.modes import in_mode
from winnow.engine.graph.wrappers import unwrapped
from winnow.engine.pruning.precision import private

FORMAT_VERSION = 1


def architecture(model: nn.Module, example_inputs: Any) -> dict[str, Any]:
    """Return the document from which `rebuild` makes the model, given its tensors; it is plain JSON.

    It holds layers with the arguments of their constructors, and the program between them; nothing of the network that
    the model was cut from. Where the model takes another way in training mode, it holds the program of that mode too.
    Plain arguments, and sizes of which the code makes numbers, are those of the example: the rebuilt model refuses
    others. Containers of a class of one's own come back as dicts. It is tried out: the rebuilt model gives the very
    bits that the model gives, in both modes, on every call, with other numbers of images, and at other resolutions and
    lengths, wherever the model itself takes these. Where torch runs an attention layer as one kernel, which adds in
    another order, they are the bits without that kernel.

    Raises:
        NotDescribable: a layer or an operation is not among those allowed, the program cannot be drawn, takes fewer
            sizes than the model, or gives other bits.

    """
    document, tensors = written_architecture(model, example_inputs)
    model, _ = unwrapped(model)
    same_everywhere(model, tried(document, tensors), calls(model, example_inputs))
    return document


def tried(document: dict[str, Any], tensors: Mapping[str, Tensor]) -> nn.Module:
    """Return the model of a document that was just written.

    Raises:
        NotDescribable: reading refuses what writing took: a layer whose attributes do not fit its weights, or a name
            that is taken.

    """
    try:
        return rebuild(document, tensors)
    except NotRebuildable as error:
        raise NotDescribable(f"`model` must be one that can be rebuilt, got an error: {error}") from error


def written_architecture(model: nn.Module, example_inputs: Any) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return a model's document, not tried out, and its tensors."""
    model, _ = unwrapped(model)
    refuse_shared(model)
    refuse_fused(model)
    found = _programs(model, alike_calls(model, example_inputs, "Save one model for each.")[0])
    every = [*found.evaluating["program"], *(found.training["program"] if found.training else ())]
    called = dict.fromkeys(step["target"] for step in every if step["op"] == "layer")
    layers = {path: described(path, model.get_submodule(path)) for path in called}
    kept = dict(_tensors(model, layers, every, found.constants))
    tied, first = _tied(kept)
    document = {
        "format_version": FORMAT_VERSION,
        "training": model.training,
        "layers": layers,
        "tensors": {name: _stored(kept[name]) for name in first},
        "tied": tied,
        "inputs": found.inputs,
        **found.evaluating,
    }
    document |= {"in_training": found.training} if found.training else {}
    document |= {"modes": found.modes} if found.modes else {}
    return document, {name: kept[name].detach() for name in first}


@dataclass(frozen=True, eq=False)
class _Programs:
    """What a document says of the program: {program, result} of evaluation mode, and of training mode if it differs.

    `constants` are the tensors that a program keeps beside the model's; `modes` those of the parts that it asks.
    """

    inputs: list[dict[str, Any]]
    evaluating: dict[str, Any]
    training: dict[str, Any] | None
    constants: Mapping[str, Tensor]
    modes: dict[str, bool]


def _programs(model: nn.Module, call: Call) -> _Programs:
    if isinstance(model, Rebuilt):
        return _rewritten(model)
    evaluating = drawn_graph(model, call.in_mode(False))
    inputs = [_input(node, call, model) for node in evaluating.fx_graph.nodes if node.op == "placeholder"]
    training = _in_training(model, call)
    parts, one = ({}, True) if training is None else merged(evaluating, training)
    modes = {path: model.get_submodule(path).training for path in parts if path}
    whole = _steps(model, evaluating)
    if one or training is None:
        return _Programs(inputs, whole, None, evaluating.constants, modes)
    renamed = {name: f"training_{name}" for name in training.constants}
    for node in training.fx_graph.nodes:
        node.target = renamed.get(str(node.target), node.target) if node.op == "get_attr" else node.target
    other = {renamed[name]: tensor for name, tensor in training.constants.items()}
    apart = _steps(model, DrawnGraph(training.fx_graph, other))
    return _Programs(inputs, whole, apart, {**evaluating.constants, **other}, {})


def _in_training(model: nn.Module, call: Call) -> DrawnGraph | None:
    """Return the program of training mode, None where the model does not run in it."""
    try:
        with in_mode(twin := private(model), True), torch.no_grad(), torch.random.fork_rng(devices=[]):
            run(twin, call)
    except Exception:  # noqa: BLE001 - a batch norm of one value, say: there is nothing to be drawn
        return None
    return drawn_graph(model, call.in_mode(True))


def _steps(model: nn.Module, program: DrawnGraph) -> dict[str, Any]:
    nodes = list(program.fx_graph.nodes)
    steps = [_step(model, program, node) for node in nodes if node.op not in ("placeholder", "output")]
    return {"program": steps, "result": encoded(nodes[-1].args[0])}


def _rewritten(model: Rebuilt) -> _Programs:
    """Return what the document of a rebuilt model said."""
    scripts = [_said(script) for script in (model._script, model._in_training) if script is not None]
    found = [given.model_dump(by_alias=True) for given in model._script.inputs]
    asked = {step.target.rpartition(".")[0] for step in model._script.steps if step.op == "mode"} - {""}
    modes = {path: model.get_submodule(path).training for path in sorted(asked)}
    return _Programs(found, scripts[0], scripts[1] if len(scripts) > 1 else None, {}, modes)


def _said(script: Script) -> dict[str, Any]:
    return {"program": [_short(step.model_dump()) for step in script.steps], "result": encoded(script.result)}


def _short(step: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in step.items() if name != "frozen" or value}


def _input(node: fx.Node, call: Call, model: nn.Module) -> dict[str, Any]:
    name, inputs = str(node.target), call.named(model)
    leaves = [leaf for _, leaf in flatten(inputs[name][1])] if name in inputs else []
    found = {
        "argument": name,
        "name": node.name,
        "shapes": [list(leaf.shape) for leaf in leaves],
        "dtypes": [_type(leaf) for leaf in leaves],
        "optional": bool(node.args),
        "default": encoded(node.args[0]) if node.args else None,
    }
    if (name not in inputs or inputs[name][0] != "given") and not node.args:
        raise NotDescribable(f"`example_inputs` must hold every input, got none for {name}.")
    return found


def _step(model: nn.Module, program: DrawnGraph, node: fx.Node) -> dict[str, Any]:
    op, target, args = _operation(model, program, node)
    found = {
        "name": node.name,
        "op": op,
        "target": target,
        "args": encoded(list(args)),
        "kwargs": encoded(dict(node.kwargs)),
        "frozen": bool(node.meta.get(FROZEN)) and op in ("call", "method", "layer"),
    }
    return _short(found)


def _operation(model: nn.Module, program: DrawnGraph, node: fx.Node) -> tuple[str, str, tuple[Any, ...]]:
    """Return the kind of a node, its target by an allowed name, and its arguments."""
    target: Any = node.target
    if node.op == "call_module":
        return "layer", target, node.args
    if node.op == "get_attr":
        if target.rpartition(".")[2] == "training":
            return "mode", target, ()
        if not isinstance(_attribute(model, program.constants, target), Tensor):
            raise NotDescribable(f"`model` must use only its tensors and layers, got something else at `{target}`.")
        return "tensor", target, ()
    if node.op == "call_method" and target in METHODS:
        return "method", target, node.args
    if target is GETATTR and len(node.args) == 2 and node.args[1] in ATTRIBUTES:
        return "part", str(node.args[1]), node.args[:1]
    if node.op == "call_function" and target in FUNCTION_NAMES:
        return "call", FUNCTION_NAMES[target], node.args
    raise _unknown(node)


def _unknown(node: fx.Node) -> NotDescribable:
    target: Any = node.target
    if target is GETATTR:
        return NotDescribable(
            f"`model` must use only tensors and plain containers, got `.{node.args[1]}` of {node.args[0]}. Pass what "
            "it holds by itself or in a dict."
        )
    home, name = getattr(target, "__module__", ""), getattr(target, "__name__", target)
    return NotDescribable(
        f"`model` must use only known operations, got {home}{'.' * bool(home)}{name} ({node.op}). Write it with "
        "others, or remove the parametrization that it belongs to, or keep the code and save its state_dict()."
    )


def _attribute(model: nn.Module, constants: Mapping[str, Tensor], path: str) -> Any:
    if path in constants:
        return constants[path]
    found: Any = model
    for name in path.split("."):
        found = getattr(found, name)
    return found


def _tensors(
    model: nn.Module, layers: Mapping[str, Any], program: list[dict[str, Any]], constants: Mapping[str, Tensor]
) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of the layers that are called, and those that the program reads."""
    for path in layers:
        layer = model.get_submodule(path)
        for name, tensor in [*layer.named_parameters(), *layer.named_buffers()]:
            yield f"{path}.{name}", tensor
    for step in program:
        if step["op"] == "tensor":
            yield step["target"], _attribute(model, constants, step["target"])


def _tied(kept: Mapping[str, Tensor]) -> tuple[dict[str, str], list[str]]:
    """Return {further name: first name} of tensors with several, and the first names of all."""
    first: dict[int, str] = {}
    tied: dict[str, str] = {}
    for name, tensor in kept.items():
        if first.setdefault(id(tensor), name) != name:
            tied[name] = first[id(tensor)]
    return tied, list(first.values())


def _stored(tensor: Tensor) -> dict[str, Any]:
    return {
        "shape": list(tensor.shape),
        "dtype": _type(tensor),
        "parameter": isinstance(tensor, nn.Parameter),
        "trainable": tensor.requires_grad,
        "channels_last": is_channels_last(tensor),
    }


def _type(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
