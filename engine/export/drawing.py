"""The program of a model on a call, drawn by torch.fx while the model runs, with what it takes for granted.

Sizes stay computed. Where Python makes a number of one (a branch, a loop, `int`), the program holds for that number
alone, and a step is put there that refuses another (`engine.pruning.guards.only_value`); so are plain arguments.
Operations under torch.no_grad are marked. Drawn are private copies of the model, so that nothing is left in it.
"""

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.node import map_aggregate

from winnow.engine.export.allowed import LAYER_NAMES, LIMITS, limit_of
from winnow.engine.export.refusal import NotDescribable
from winnow.engine.graph.calls import Call
from winnow.engine.graph.containers import flatten
from winnow.engine.graph.modes import in_mode
from winnow.engine.graph.recording import Recording
from winnow.engine.graph.refusal import NotTraceable
from winnow.engine.graph.running import Running, sizes_drawn
from winnow.engine.graph.tracer import RunningTracer
from winnow.engine.pruning.guards import only_shape, only_value
from winnow.engine.pruning.parts import calls_of
from winnow.engine.pruning.precision import private

PURE = {"size", "shape", "dim", "ndim", "numel", "dtype", "device", "getattr", "getitem", "len", "truth"}
FROZEN = "frozen"  # the key of a node's meta: whether it ran without gradients
PATH = "at"  # and the module that it ran in
RANDOM_STATE = 0
ORIGINALS = ("v", "orig")  # what torch.nn.utils.weight_norm, spectral_norm and prune call the parameter behind a weight
HOOKED = (
    "`model` must hold its weights as parameters, got `{}`, which a hook computes before each pass. Call "
    "torch.nn.utils.remove_weight_norm, remove_spectral_norm or prune.remove first."
)


@dataclass(frozen=True, eq=False)
class DrawnGraph:
    """The program of one mode, and the tensors that it keeps beside the model's own."""

    fx_graph: fx.Graph
    constants: Mapping[str, Tensor]


class Observed(Running):
    """A proxy that writes a step into the program wherever Python makes a number of a size."""

    def _said(self, value: Any, node: Any) -> Any:
        tracer: Any = self.tracer
        where = f"a size in {tracer.path or 'the model'}"
        tracer.create_proxy("call_function", only_value, (node, value, where), {})
        return value

    def _asked(self, call: Any) -> Any:
        tracer: Any = self.tracer
        return tracer.create_proxy("call_function", call, (self,), {})

    def __bool__(self) -> bool:
        value = super().__bool__()
        return value if isinstance(self.concrete, str | None) else self._said(value, self._asked(operator.truth))

    def __index__(self) -> int:
        return int(self._said(super().__index__(), self))

    def __int__(self) -> int:
        return int(self._said(self._number(), self))

    def __float__(self) -> float:
        return float(self._said(self._number(), self))

    def __len__(self) -> int:
        return self._counted()

    def __iter__(self) -> Any:
        if not isinstance(self.concrete, Mapping):
            self._counted()
        return super().__iter__()

    def _counted(self) -> int:
        known = len(self.concrete)
        return known if isinstance(self.concrete, Mapping) else int(self._said(known, self.counted()))

    __hash__ = Running.__hash__


class Drawing(RunningTracer):
    """Runs each operation as it is drawn; follows nothing."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether a module is a layer of the document."""
        return type(m) in LAYER_NAMES

    def proxy(self, node: fx.Node) -> Running:
        """Return a proxy that is watched."""
        return Observed(node, self)

    def create_args_for_root(self, root_fn: Any, is_module: bool, concrete_args: Any = None) -> Any:
        """Give back what the forward returns in plain containers."""
        function, args = super().create_args_for_root(root_fn, is_module, concrete_args)

        def hooked(*given: Any) -> Any:
            result = function(*given)
            for hook in self.root._forward_hooks.values():  # such as the one that leaves other tasks out
                changed = hook(self.root, given, result)
                result = result if changed is None else changed
            return plain_value(result)

        return hooked, args

    def create_proxy(self, kind: str, target: Any, args: Any, kwargs: Any, *rest: Any, **options: Any) -> Any:
        """Draw an operation and run it."""
        proxy: Any = fx.Tracer.create_proxy(self, kind, target, args, kwargs, *rest, **options)
        proxy.node.meta[FROZEN], proxy.node.meta[PATH] = not torch.is_grad_enabled(), self.path
        if kind == "placeholder":
            return self._enter_input(proxy, str(target))
        if kind == "get_attr":
            proxy.concrete = self._run(lambda: _attribute(self.root, str(target)))
            return proxy
        if torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda") or torch.is_inference_mode_enabled():
            raise NotDescribable(f"`model` must run without autocast and inference mode, got one at `{self.path}`.")
        args, kwargs = _concrete(args), _concrete(kwargs)
        _, call, _ = self._callee(kind, target)
        proxy.concrete = self._run(lambda: call(*args, **kwargs))
        fixed = self.fixed_sizes and not flatten(proxy.concrete)
        return proxy.concrete if fixed else proxy

    def _enter_input(self, proxy: Any, name: str) -> Any:
        """Return an input as a proxy; a plain one is what it is in the call, and the program checks it."""
        if name.startswith("*"):
            raise NotDescribable(
                f"`model` must name the inputs of its forward pass, as in forward(self, images), got {name}."
            )
        given = name in self.inputs
        value = self.inputs[name] if given else (proxy.node.args[0] if proxy.node.args else None)
        if not given or not flatten(value):
            proxy.concrete = value
            self.checked.append((proxy, value, name))
            return value
        proxy.concrete = value
        if self.fixed_sizes and isinstance(value, Tensor):
            checked: Any = fx.Tracer.create_proxy(self, "call_function", only_shape, (proxy, tuple(value.shape)), {})
            checked.concrete = value
            return checked
        return proxy

    def trace(self, *args: Any, **kwargs: Any) -> fx.Graph:
        """Draw the model."""
        self.checked: list[tuple[Any, Any, str]] = []
        fx_graph = super().trace(*args, **kwargs)
        inputs = [node for node in fx_graph.nodes if node.op == "placeholder"]
        for proxy, value, name in self.checked:
            with fx_graph.inserting_after(inputs[-1]):
                fx_graph.call_function(only_value, (proxy.node, value, name))
        return fx_graph


def drawn_graph(model: nn.Module, call: Call) -> DrawnGraph:
    """Return the program of a model on a call, in the mode of the call.

    Raises:
        NotDescribable: torch.fx cannot draw it.

    """
    if isinstance(model, fx.GraphModule):
        return DrawnGraph(_without_idle(_with_limits(_entered(model, call))), {})
    _not_computed(model)
    try:
        found = _attempt(model, call, fixed_sizes=False)
    except NotDescribable:
        raise
    except Exception:  # noqa: BLE001 - whatever fx does not take, plain numbers may help
        found = _fixed(model, call)
    return DrawnGraph(_without_idle(_with_limits(found.fx_graph)), found.constants)


def _not_computed(model: nn.Module) -> None:
    for path, module in model.named_modules():
        plain = [name for name, value in vars(module).items() if isinstance(value, Tensor)]
        for name in plain:
            if any(f"{name}_{end}" in module._parameters for end in ORIGINALS):
                raise NotDescribable(HOOKED.format(f"{path}.{name}".lstrip(".")))


LONGEST = 200  # characters of what torch says


def _fixed(model: nn.Module, call: Call) -> DrawnGraph:
    try:
        return _attempt(model, call, fixed_sizes=True)
    except NotTraceable as error:
        raise NotDescribable(str(error)) from error
    except Exception as error:
        found = " ".join(str(error).split())  # torch puts a whole network first, and the fault at the end
        raise NotDescribable(
            f"`model` must be one that torch.fx can trace, got {type(error).__name__}: {found[-LONGEST:]}"
        ) from error


def _attempt(model: nn.Module, call: Call, fixed_sizes: bool) -> DrawnGraph:
    twin = private(model).requires_grad_(False)
    inputs = {name: value for name, (how, value) in call.named(model).items() if how == "given"}
    before = set(vars(twin))
    tracer = Drawing(Recording(twin, 1), inputs, fixed_sizes)
    with sizes_drawn(twin), in_mode(twin, bool(call.training)), torch.enable_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(RANDOM_STATE)
        fx_graph = tracer.trace(twin)
    return DrawnGraph(fx_graph, {name: vars(twin)[name] for name in set(vars(twin)) - before})


def plain_value(result: Any) -> Any:
    """Return a result in dicts, lists and tuples; a container of one's own becomes a dict of what it holds."""
    if isinstance(result, Mapping):
        return {key: plain_value(value) for key, value in result.items()}
    if type(result) in (tuple, list, torch.Size):
        return type(result)([plain_value(value) for value in result])
    if isinstance(result, tuple) and hasattr(result, "_fields"):
        return {name: plain_value(value) for name, value in zip(result._fields, result, strict=True)}
    if isinstance(result, Tensor | fx.Proxy | bool | int | float | str | None):
        return result
    return {name: plain_value(value) for name, value in vars(result).items()} if hasattr(result, "__dict__") else result


def _entered(model: fx.GraphModule, call: Call) -> fx.Graph:
    """Return a copy of a program in which modules that are no layers of the document are drawn too."""
    modules = dict(model.named_modules())
    own = [
        str(node.target)
        for node in model.graph.nodes
        if node.op == "call_module" and type(modules[str(node.target)]) not in LAYER_NAMES
    ]
    given = calls_of(model, own, call) if own else {}
    copied, values = fx.Graph(), dict[fx.Node, Any]()
    for node in model.graph.nodes:
        path = str(node.target)
        if node.op == "call_module" and path in own:
            part = _attempt(modules[path], given[path], fixed_sizes=False)
            if part.constants or node.kwargs:
                raise NotDescribable(f"`model` must have only known layers of torch.nn, got another at `{path}`.")
            values[node] = _inserted(copied, part.fx_graph, f"{path}.", [values[operand] for operand in node.args])
        else:
            values[node] = copied.node_copy(node, values.__getitem__)
    return copied


def _inserted(target: fx.Graph, part: fx.Graph, prefix: str, operands: list[Any]) -> Any:
    """Copy the program of a module to the end of another; return what it gives."""
    given, values = iter(operands), dict[fx.Node, Any]()
    for node in part.nodes:
        if node.op == "output":
            return fx.map_arg(node.args[0], values.__getitem__)
        values[node] = next(given) if node.op == "placeholder" else target.node_copy(node, values.__getitem__)
        if node.op in ("get_attr", "call_module"):
            values[node].target = f"{prefix}{node.target}"
    return None


def _with_limits(fx_graph: fx.Graph) -> fx.Graph:
    """Let `torch.finfo(x.dtype).min` be one operation of the document."""
    for made in [node for node in fx_graph.nodes if node.target is torch.finfo and len(node.args) == 1]:
        for user in [user for user in made.users if user.target is getattr and user.args[1] in LIMITS]:
            user.target, user.args = limit_of, (made.args[0], user.args[1])
        if not made.users:
            fx_graph.erase_node(made)
    return fx_graph


def _without_idle(fx_graph: fx.Graph) -> fx.Graph:
    """Drop looks at sizes and tensors whose results nothing asks for."""
    for node in reversed(list(fx_graph.nodes)):
        pure = node.op == "get_attr" or getattr(node.target, "__name__", node.target) in PURE
        if pure and not node.users and node.op not in ("output", "placeholder", "call_module"):
            fx_graph.erase_node(node)
    return fx_graph


def _concrete(structure: Any) -> Any:
    return map_aggregate(structure, lambda leaf: leaf.concrete if isinstance(leaf, Running) else leaf)


def _attribute(root: Any, path: str) -> Any:
    for name in path.split("."):
        root = getattr(root, name)
    return root
