"""The program of a model: an `fx.GraphModule`'s own, or drawn while the model runs on the example.

Drawn as the channel graph is (`engine.graph.tracer`), but without following channels, and with our gathering layers
as layers. Sizes stay computed; where torch.fx cannot do without plain numbers they are fixed, and whoever uses the
program finds out whether the model takes other sizes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.node import map_aggregate

from winnow.engine.export.allowed import LAYER_NAMES
from winnow.engine.export.refusal import NotDescribable
from winnow.engine.graph.following import SIZES
from winnow.engine.graph.modes import undisturbed
from winnow.engine.graph.recording import Recording
from winnow.engine.graph.refusal import NotTraceable
from winnow.engine.graph.running import Running
from winnow.engine.graph.tracer import RunningTracer
from winnow.engine.pruning.modes import follow_mode

PURE = SIZES | {"getattr", "getitem", "eq", "ne", "lt", "le", "gt", "ge"}


@dataclass(frozen=True, eq=False)
class Drawn:
    """A program, and the tensors that it keeps beside the model's own."""

    fx_graph: fx.Graph
    constants: Mapping[str, Tensor]


class Drawing(RunningTracer):
    """Runs each operation as it is drawn; follows nothing."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether a module is a layer of the document."""
        return type(m) in LAYER_NAMES

    def create_proxy(self, kind: str, target: Any, args: Any, kwargs: Any, *rest: Any, **options: Any) -> Any:
        """Draw an operation and run it."""
        proxy: Any = fx.Tracer.create_proxy(self, kind, target, args, kwargs, *rest, **options)
        if kind == "placeholder":
            return self._enter_input(proxy, str(target))
        if kind == "get_attr":
            proxy.concrete = self._run(lambda: _attribute(self.root, str(target)))
            return proxy
        args, kwargs = _concrete(args), _concrete(kwargs)
        _, call, _ = self._callee(kind, target)
        proxy.concrete = self._run(lambda: call(*args, **kwargs))
        fixed = self.fixed_sizes and not _holds_tensor(proxy.concrete)
        return proxy.concrete if fixed else proxy

    def _input(self, node: str, leaf: Any) -> Any:
        return None


def drawn(model: nn.Module, inputs: Mapping[str, Any]) -> Drawn:
    """Return the program of a model.

    Raises:
        NotDescribable: torch.fx cannot draw it.

    """
    if isinstance(model, fx.GraphModule):
        return Drawn(_without_idle(_copy(model.graph)), {})
    try:
        found = _attempt(model, inputs, fixed_sizes=False)
    except Exception:  # noqa: BLE001 - whatever fx does not take, plain numbers may help
        found = _fixed(model, inputs)
    follow_mode(found.fx_graph)
    return Drawn(_without_idle(found.fx_graph), found.constants)


def _fixed(model: nn.Module, inputs: Mapping[str, Any]) -> Drawn:
    try:
        return _attempt(model, inputs, fixed_sizes=True)
    except NotTraceable as error:
        raise NotDescribable(str(error)) from error
    except Exception as error:
        found = str(error).partition("\n")[0]
        raise NotDescribable(
            f"`model` should be one that torch.fx can draw. Found {type(error).__name__}: {found}"
        ) from error


def _attempt(model: nn.Module, inputs: Mapping[str, Any], fixed_sizes: bool) -> Drawn:
    before = set(vars(model))
    tracer = Drawing(Recording(model, 1), inputs, fixed_sizes)
    try:
        with undisturbed(model), torch.no_grad():
            fx_graph = tracer.trace(model)
        return Drawn(fx_graph, {name: vars(model)[name] for name in set(vars(model)) - before})
    finally:
        for name in set(vars(model)) - before:
            delattr(model, name)


def _copy(fx_graph: fx.Graph) -> fx.Graph:
    copied = fx.Graph()
    copied.output(copied.graph_copy(fx_graph, {}))
    return copied


def _without_idle(fx_graph: fx.Graph) -> fx.Graph:
    """Drop looks at sizes and tensors whose results nothing asks for."""
    for node in reversed(list(fx_graph.nodes)):
        pure = node.op == "get_attr" or getattr(node.target, "__name__", node.target) in PURE
        if pure and not node.users and node.op not in ("output", "placeholder", "call_module"):
            fx_graph.erase_node(node)
    return fx_graph


def _concrete(structure: Any) -> Any:
    return map_aggregate(structure, lambda leaf: leaf.concrete if isinstance(leaf, Running) else leaf)


def _holds_tensor(value: Any) -> bool:
    return any(isinstance(leaf, Tensor) for leaf in torch.utils._pytree.tree_leaves(value))


def _attribute(root: Any, path: str) -> Any:
    for name in path.split("."):
        root = getattr(root, name)
    return root
