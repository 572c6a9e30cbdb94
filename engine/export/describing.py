"""`architecture(model, example_inputs)`: a model as a document, which is tried out before it is handed out."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree

from winnow.engine.export.agreement import same_everywhere
from winnow.engine.export.allowed import ATTRIBUTES, FUNCTION_NAMES, GETATTR, METHODS
from winnow.engine.export.arguments import encoded
from winnow.engine.export.drawing import Drawn, drawn
from winnow.engine.export.layers import described
from winnow.engine.export.rebuilding import rebuild
from winnow.engine.export.rebuilt import Rebuilt
from winnow.engine.export.refusal import NotDescribable, NotRebuildable
from winnow.engine.graph.trace import named_inputs

FORMAT_VERSION = 1


def architecture(model: nn.Module, example_inputs: Any) -> dict[str, Any]:
    """Return the document from which `rebuild` makes the model, given its tensors; it is plain JSON.

    It holds layers with the arguments of their constructors, and the program between them; nothing of the network that
    the model was cut from. It is tried out: the rebuilt model gives the very bits that the model gives in eval mode, on
    the example, with other numbers of images, and at twice the size, wherever the model itself takes these.

    Raises:
        NotDescribable: a layer or an operation is not among those allowed, the program cannot be drawn, takes fewer
            sizes than the model, or gives other bits.

    """
    document, tensors = written(model, example_inputs)
    same_everywhere(model, tried(document, tensors), named_inputs(model, example_inputs))
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
        raise NotDescribable(f"`model` should be one that can be rebuilt. Found: {error}") from error


def written(model: nn.Module, example_inputs: Any) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return a model's document, not tried out, and its tensors."""
    inputs = named_inputs(model, example_inputs)
    program, constants = _program(model, inputs)
    called = dict.fromkeys(step["target"] for step in program["program"] if step["op"] == "layer")
    layers = {path: described(path, model.get_submodule(path)) for path in called}
    kept = dict(_tensors(model, layers, program["program"], constants))
    tied, first = _tied(kept)
    document = {
        "format_version": FORMAT_VERSION,
        "training": model.training,
        "layers": layers,
        "tensors": {name: _stored(kept[name]) for name in first},
        "tied": tied,
        **program,
    }
    return document, {name: kept[name].detach() for name in first}


def _program(model: nn.Module, inputs: Mapping[str, Any]) -> tuple[dict[str, Any], Mapping[str, Tensor]]:
    """Return {inputs, program, result}, and the tensors that the program keeps beside the model's."""
    if isinstance(model, Rebuilt):
        script = model._script
        found = [given.model_dump(by_alias=True) for given in script.inputs]
        steps = [step.model_dump() for step in script.steps]
        return {"inputs": found, "program": steps, "result": encoded(script.result)}, {}
    program = drawn(model, inputs)
    nodes = list(program.fx_graph.nodes)
    return {
        "inputs": [_input(node, inputs) for node in nodes if node.op == "placeholder"],
        "program": [_step(model, program, node) for node in nodes if node.op not in ("placeholder", "output")],
        "result": encoded(nodes[-1].args[0]),
    }, program.constants


def _input(node: fx.Node, inputs: Mapping[str, Any]) -> dict[str, Any]:
    name = str(node.target)
    if name.startswith("*"):
        raise NotDescribable(f"`model` should name the inputs of its forward pass. Found {name}.")
    leaves = [leaf for leaf in _pytree.tree_leaves(inputs.get(name)) if isinstance(leaf, Tensor)]
    found = {
        "argument": name,
        "name": node.name,
        "shapes": [list(leaf.shape) for leaf in leaves],
        "dtypes": [_type(leaf) for leaf in leaves],
        "optional": bool(node.args),
        "default": encoded(node.args[0]) if node.args else None,
    }
    if name not in inputs and not node.args:
        raise NotDescribable(f"`example_inputs` should hold every input. Found none for {name}.")
    return found


def _step(model: nn.Module, program: Drawn, node: fx.Node) -> dict[str, Any]:
    op, target, args = _operation(model, program, node)
    return {
        "name": node.name,
        "op": op,
        "target": target,
        "args": encoded(list(args)),
        "kwargs": encoded(dict(node.kwargs)),
    }


def _operation(model: nn.Module, program: Drawn, node: fx.Node) -> tuple[str, str, tuple[Any, ...]]:
    """Return the kind of a node, its target by an allowed name, and its arguments."""
    target: Any = node.target
    if node.op == "call_module":
        return "layer", target, node.args
    if node.op == "get_attr":
        if target == "training":
            return "mode", "training", ()
        if not isinstance(_attribute(model, program.constants, target), Tensor):
            raise NotDescribable(f"`model` should keep tensors and layers alone. Found another thing at `{target}`.")
        return "tensor", target, ()
    if node.op == "call_method" and target in METHODS:
        return "method", target, node.args
    if target is GETATTR and len(node.args) == 2 and node.args[1] in ATTRIBUTES:
        return "part", str(node.args[1]), node.args[:1]
    if node.op == "call_function" and target in FUNCTION_NAMES:
        return "call", FUNCTION_NAMES[target], node.args
    name = node.args[1] if target is GETATTR else getattr(target, "__name__", target)
    home = getattr(target, "__module__", "")
    raise NotDescribable(
        f"`model` should use operations that are known. Found {home}{'.' * bool(home)}{name} ({node.op})."
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
    channels_last = tensor.dim() == 4 and not tensor.is_contiguous()
    return {
        "shape": list(tensor.shape),
        "dtype": _type(tensor),
        "parameter": isinstance(tensor, nn.Parameter),
        "trainable": tensor.requires_grad,
        "channels_last": channels_last and tensor.is_contiguous(memory_format=torch.channels_last),
    }


def _type(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
