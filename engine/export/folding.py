"""`folded(model, example_inputs)`: the form of a model that runs fastest in evaluation mode, with the same outputs.

A batch norm of running statistics is a factor and a shift per channel. Behind a layer that nothing else reads it goes
into that layer's weights, computed in float64:

    w' = w · γ / √(σ² + ε)        b' = β + (b − μ) · γ / √(σ² + ε)

What depends on weights alone (a standardised kernel) becomes a stored tensor, and what does nothing in evaluation mode
(dropout, identity) goes. The result is compared with the model in float64 and float32 before it is handed out.
"""

import itertools
from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from winnow.engine.export.agreement import alike_calls, exported_outputs, relative_error
from winnow.engine.export.drawing import drawn_graph
from winnow.engine.export.refusal import NotDescribable, NotSame
from winnow.engine.graph.calls import Call
from winnow.engine.graph.wrappers import unwrapped
from winnow.engine.pruning.guards import only_shape, only_value
from winnow.engine.pruning.precision import in_precision, in_type, private
from winnow.engine.pruning.proof import FLOAT32, FLOAT64
from winnow.engine.pruning.selecting import SELECTING
from winnow.engine.pruning.trials import Trial, trials

FORWARD: tuple[type[nn.Module], ...] = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear, *SELECTING.values())
TRANSPOSED: tuple[type[nn.Module], ...] = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
NORMS: tuple[type[nn.Module], ...] = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
MATRICES = (nn.Linear, SELECTING[nn.Linear])
SEEDS = (0, 1)


class Folded(fx.GraphModule):
    """A program for evaluation mode alone: in training mode its batch norms would be others, so it refuses it."""

    def train(self, mode: bool = True) -> "Folded":
        """Stay in evaluation mode.

        Raises:
            ValueError: training mode was asked for.

        """
        if mode:
            raise ValueError(
                "`mode` must be False for a folded model, got True: its batch norms are part of its weights. "
                "Train the model that it was made of, and fold it again."
            )
        found: Folded = super().train(False)
        return found

    def __deepcopy__(self, memo: Any) -> "Folded":
        copied = super().__deepcopy__(memo)
        return _evaluating(Folded(copied, copied.graph))


def folded(model: nn.Module, example_inputs: Any) -> Folded:
    """Return a program of a model's evaluation mode with batch norms and constants folded; the model is not changed.

    It holds for the plain arguments of the example, and for every size that the model takes (a size of which the code
    makes a number excepted: it refuses others). Its layers keep their names, and its parameters want no gradients.

    Args:
        model: any module that can be drawn (`engine.export.drawing`). It may be in training mode: what it gives in
            evaluation mode counts.
        example_inputs: what `engine.graph.calls.calls` takes.

    Raises:
        NotDescribable: the program cannot be drawn, or a call is one of training mode, which no folded form has.
        NotSame: the folded form gives other outputs: relative 1e-10 in float64, 1e-4 in float32.

    Examples:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU()).eval()
        >>> [type(part).__name__ for part in folded(net, torch.ones(1, 3, 8, 8)).children()]
        ['Conv2d', 'ReLU']

    """
    model, _ = unwrapped(model)
    given = alike_calls(model, example_inputs, "Fold one model for each.")
    if any(call.training for call in given):
        raise NotDescribable(
            "`example_inputs` must be calls in evaluation mode, got one in training mode, where a batch norm "
            "normalises by its batch and cannot be folded. Leave the mode out."
        )
    result = _fold(model, given[0])
    _same(model, result, given)
    return result


def _fold(model: nn.Module, call: Call) -> Folded:
    """Return the folded program, not compared."""
    twin = _owned(model)
    drawn = drawn_graph(twin, call.in_mode(False))
    for name, tensor in drawn.constants.items():
        twin.register_buffer(name, tensor.detach().clone()) if not hasattr(twin, name) else None
    program = Folded(twin, drawn.fx_graph)
    _evaluating(program)
    _without_idle_layers(program)
    _constants_stored(program)
    _norms_folded(program, _dimensions(program, call))
    program.graph.lint()
    program.recompile()
    program.delete_all_unused_submodules()
    return _evaluating(program)


def _owned(model: nn.Module) -> nn.Module:
    """Return a copy with parameters of its own, which want no gradients."""
    twin = private(model)
    for parameter in twin.parameters():
        parameter.data, parameter.requires_grad = parameter.data.clone(), False
    return twin


def _evaluating(program: Folded) -> Folded:
    for module in program.modules():
        module.training = False
    return program


def _without_idle_layers(program: fx.GraphModule) -> None:
    """Drop the layers that hand their input on in evaluation mode."""
    for node in list(program.graph.nodes):
        idle = node.op == "call_module" and isinstance(_layer(program, node), nn.Identity | _DropoutNd)
        if idle and len(node.all_input_nodes) == 1:
            node.replace_all_uses_with(node.all_input_nodes[0])
            program.graph.erase_node(node)


def _constants_stored(program: fx.GraphModule) -> None:
    """Store what is computed from weights alone, and gives the same bits whatever the random numbers are."""
    constant: dict[fx.Node, Tensor] = {}
    written = {node.all_input_nodes[0] for node in program.graph.nodes if _writes(node)}
    for node in list(program.graph.nodes):
        if node.op == "get_attr" and isinstance(found := _value(program, node), Tensor) and node not in written:
            constant[node] = found
        elif _pure(node) and node.all_input_nodes and set(node.all_input_nodes) <= set(constant) - written:
            found = _computed(node, constant)
            if found is not None:
                constant[node] = found
    for place, (node, tensor) in enumerate(constant.items()):
        if node.op != "get_attr" and any(user not in constant for user in node.users) and node not in written:
            name = f"folded_{place}"
            program.register_buffer(name, tensor.detach().clone())
            with program.graph.inserting_before(node):
                node.replace_all_uses_with(program.graph.get_attr(name))
    program.graph.eliminate_dead_code(lambda node: node.op in ("placeholder", "output") or node not in constant)


def _pure(node: fx.Node) -> bool:
    checks = (only_shape, only_value)
    return node.op in ("call_function", "call_method") and node.target not in checks and not _writes(node)


def _writes(node: fx.Node) -> bool:
    """Whether an operation may write into its first operand."""
    name = str(getattr(node.target, "__name__", node.target))
    inplace = (name.endswith("_") and not name.endswith("__")) or name in ("setitem", "iadd", "isub", "imul")
    return bool(node.op.startswith("call") and node.all_input_nodes and (inplace or node.kwargs.get("inplace")))


def _computed(node: fx.Node, known: Mapping[fx.Node, Tensor]) -> Tensor | None:
    """Return what a node gives, None where it is no tensor, or is drawn at random."""
    args: Any = fx.map_arg(node.args, lambda one: known[one])
    kwargs: Any = fx.map_arg(node.kwargs, lambda one: known[one])
    found = []
    for seed in SEEDS:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            call: Any = node.target if node.op == "call_function" else getattr(Tensor, str(node.target))
            found.append(call(*args, **kwargs))
    same = all(isinstance(one, Tensor) for one in found) and torch.equal(found[0], found[1])
    return found[0] if same else None


def _dimensions(program: fx.GraphModule, call: Call) -> dict[str, int]:
    """Return how many axes the result of every layer has, by its node."""
    found: dict[str, int] = {}

    class Watching(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            result = super().run_node(n)
            found[n.name] = result.dim() if isinstance(result, Tensor) else 0
            return result

    named = {name: value for name, (how, value) in call.named(program).items() if how == "given"}
    inputs = [named.get(str(n.target), *n.args) for n in program.graph.nodes if n.op == "placeholder"]
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        Watching(program).run(*inputs)
    return found


def _norms_folded(program: fx.GraphModule, dimensions: Mapping[str, int]) -> None:
    """Fold every batch norm into the layer before it, where that is exact."""
    calls = [node for node in program.graph.nodes if node.op == "call_module"]
    runs = Counter(str(node.target) for node in calls)
    uses = Counter(id(tensor) for tensor in itertools.chain(*(_tensors(program, name) for name in runs)))
    for node in calls:
        before = node.all_input_nodes[0] if node.all_input_nodes else None
        if before is None or before.op != "call_module" or len(before.users) > 1:
            continue
        pair = [_layer(program, before), _layer(program, node)]
        once = runs[str(before.target)] == runs[str(node.target)] == 1
        alone = all(uses[id(parameter)] == 1 for module in pair for parameter in module.parameters())
        if once and alone and _foldable(pair[0], pair[1], dimensions[before.name]):
            _into(pair[0], pair[1])
            node.replace_all_uses_with(before)
            program.graph.erase_node(node)


def _tensors(program: fx.GraphModule, name: str) -> list[Tensor]:
    return list(program.get_submodule(name).parameters())


def _foldable(layer: nn.Module, norm: nn.Module, dimensions: int) -> bool:
    """Whether a norm is a factor and a shift of the layer's rows."""
    if type(norm) not in NORMS or not isinstance(norm, _BatchNorm) or norm.running_mean is None:
        return False
    if layer._forward_hooks or layer._forward_pre_hooks or norm._forward_hooks or norm._forward_pre_hooks:
        return False
    transposed: Any = layer
    if type(layer) in TRANSPOSED:
        return bool(transposed.groups == 1)
    return type(layer) in FORWARD and (type(layer) not in MATRICES or dimensions == 2)


def _into(layer: Any, norm: Any) -> None:
    """Give a layer the weights and the bias of itself and the norm behind it."""
    kind = layer.weight.dtype
    factor = (norm.running_var.double() + norm.eps).rsqrt()
    factor = factor if norm.weight is None else factor * norm.weight.double()
    before = 0.0 if layer.bias is None else layer.bias.double()
    shift = (before - norm.running_mean.double()) * factor
    shift = shift if norm.bias is None else shift + norm.bias.double()
    axis = 1 if type(layer) in TRANSPOSED else 0
    shape = [-1 if place == axis else 1 for place in range(layer.weight.dim())]
    weight = (layer.weight.double() * factor.reshape(shape)).to(kind)
    layout = torch.preserve_format
    layer.weight = nn.Parameter(torch.empty_like(layer.weight, memory_format=layout).copy_(weight), False)
    layer.bias = nn.Parameter(shift.to(kind), False)


def _same(model: nn.Module, result: Folded, given: tuple[Call, ...]) -> None:
    """Compare in float32 as it is, and in float64 a form that was folded in it.

    Raises:
        NotSame: the outputs differ, or the program takes fewer sizes than the model.

    """
    for trial in trials(model, [call.in_mode(False) for call in given]):
        _compared(private(model), result, trial, FLOAT32)
    doubled = [call.changed(lambda value: in_type(value, torch.float64)).in_mode(False) for call in given]
    with in_precision(model, torch.float64):
        exact = private(model, torch.float64)
        other = _fold(exact, doubled[0])
        for trial in trials(exact, doubled):
            _compared(exact, other, trial, FLOAT64)


def _compared(dense: nn.Module, other: nn.Module, trial: Trial, bound: float) -> None:
    try:
        expected = exported_outputs(dense, trial.call)
    except Exception:
        if trial.required:
            raise
        return
    try:
        found = exported_outputs(other, trial.call)
    except ValueError:  # a size that the program does not hold for: it says so itself
        if trial.required:
            raise
        return
    except Exception as reason:
        line = str(reason).partition("\n")[0][:200]
        raise NotSame(
            f"`model` must run when folded, got on {trial.words}: {line}. Use the model as it is."
        ) from reason
    error = relative_error(expected, found) if set(expected) == set(found) else float("inf")
    if not error <= bound:
        raise NotSame(
            f"`model` must give the same outputs when folded, within {bound:g} of their scale, got {error:.2g} on "
            f"{trial.words}. Use the model as it is."
        )


def _layer(program: fx.GraphModule, node: fx.Node) -> nn.Module:
    return program.get_submodule(str(node.target))


def _value(program: fx.GraphModule, node: fx.Node) -> Any:
    found: Any = program
    for name in str(node.target).split("."):
        found = getattr(found, name)
    return found
