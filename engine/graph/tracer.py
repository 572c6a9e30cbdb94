"""The tracer: torch.fx draws the graph while the model runs on the example, each operation once, in order.

Every proxy holds the real value beside its node, so that shapes are known, sizes may decide about the flow of control,
and memory is freed as in a plain forward pass. What the *values* of a tensor decide cannot be drawn, and is refused.
Modules of torch.nn stay leaves, and run without their hooks; all others are entered. With `fixed_sizes`, sizes are
plain numbers, which more programs can take, at the price of a graph for inputs of the example's size alone.
"""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, fx, nn
from torch.fx.node import map_aggregate

from winnow.engine.graph.carriers import Carrier
from winnow.engine.graph.following import SIZES, Effects, followed
from winnow.engine.graph.operation import Operation, carriers_in, tensors_in
from winnow.engine.graph.recording import Recording
from winnow.engine.graph.refusal import NotTraceable
from winnow.engine.graph.running import Running

TAKEN_OUT = "a number taken out of a tensor cannot be followed, so keep it a tensor"
TORCH = ("torch", "_operator", "builtins", "math")


class RunningTracer(fx.Tracer):
    """Runs each operation as it is drawn and hands it to its rule."""

    proxy_buffer_attributes = True

    def __init__(self, recording: Recording, inputs: Mapping[str, Any], fixed_sizes: bool = False) -> None:
        super().__init__()
        self.recording, self.inputs, self.fixed_sizes = recording, inputs, fixed_sizes
        self.result: Any = None
        self.frozen: list[str] = []
        self.input_carriers: dict[str, Any] = {}
        self._paths = [""]
        self._busy = False

    @property
    def path(self) -> str:
        """The module whose forward is running."""
        return self._paths[-1]

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Enter a module, or draw a leaf."""
        if self._busy:
            return forward(*args, **kwargs)
        self._paths.append(self.path_of_module(m))
        result = super().call_module(m, forward, args, kwargs)
        self._paths.pop()
        return result

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        """Return a parameter or buffer as a proxy, but to an operation that is being run."""
        return attr_val if self._busy else super().getattr(attr, attr_val, parameter_proxy_cache)

    def create_args_for_root(self, root_fn: Any, is_module: bool, concrete_args: Any = None) -> Any:
        """Keep what the forward returns."""
        function, args = super().create_args_for_root(root_fn, is_module, concrete_args)

        def keeping(*given: Any) -> Any:
            self.result = function(*given)
            return self.result

        return keeping, args

    def proxy(self, node: fx.Node) -> Running:
        """Return a proxy that can hold a value."""
        return Running(node, self)

    def create_proxy(self, kind: str, target: Any, args: Any, kwargs: Any, *rest: Any, **options: Any) -> Any:
        """Draw an operation, run it, and follow the channels through it."""
        proxy: Any = super().create_proxy(kind, target, args, kwargs, *rest, **options)
        node = proxy.node.name
        if kind == "placeholder":
            return self._enter_input(proxy, str(target))
        if kind == "get_attr":
            proxy.concrete = self._run(lambda: _attribute(self.root, str(target)))
            proxy.carried = self._constant(node, proxy.concrete)
            return proxy
        name, call, module = self._callee(kind, target)
        args, kwargs, carried = _concrete(args), _concrete(kwargs), (self._carried(args), self._carried(kwargs))
        if call is getattr and isinstance(args[0], Tensor):
            name = args[1]
        given = tensors_in((args, kwargs))
        versions = [tensor._version for tensor in given]
        result = self._run(lambda: call(*args, **kwargs))
        operation = Operation(self.path, node, name, call, module, args, kwargs, *carried, result)
        changed = [tensor._version != version for tensor, version in zip(given, versions, strict=True)]
        written = [carrier for carrier, new in zip(carriers_in(carried), changed, strict=True) if new]
        proxy.concrete = result
        proxy.carried = self._run(lambda: self._followed(operation, written))
        return result if self.fixed_sizes and not tensors_in((result,)) else proxy

    def _followed(self, operation: Operation, written: list[Carrier]) -> Any:
        if tensors_in((operation.result,)):
            return followed(self.recording, operation, Effects(written))
        if operation.carriers() and operation.name not in SIZES:
            raise operation.refusal(TAKEN_OUT)
        return operation.result

    def _callee(self, kind: str, target: Any) -> tuple[str, Callable[..., Any], nn.Module | None]:
        if kind == "call_module":
            module = self._run(lambda: self.root.get_submodule(target))
            return type(module).__name__, module.forward, module
        if kind == "call_method":
            return target, lambda first, *rest, **named: getattr(first, target)(*rest, **named), None
        name = getattr(target, "__name__", str(target))
        home = str(getattr(target, "__module__", None) or "torch")
        return (name if home.startswith(TORCH) else f"{home}.{name}"), target, None

    def _run(self, call: Callable[[], Any]) -> Any:
        self._busy = True
        try:
            return call()
        finally:
            self._busy = False

    def _enter_input(self, proxy: Running, name: str) -> Any:
        """Return an input as a proxy, an argument without example as its default."""
        if name.startswith("*"):
            raise NotTraceable(self.path, f"`{name}` in the signature", "torch.fx cannot draw it")
        if name not in self.inputs:
            return proxy.node.args[0] if proxy.node.args else None
        proxy.concrete = self.inputs[name]
        proxy.carried = map_aggregate(proxy.concrete, lambda leaf: self._input(proxy.node.name, leaf))
        self.input_carriers[name] = proxy.carried
        return proxy

    def _input(self, node: str, leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        return self.recording.input(node, leaf) if leaf.dim() > 1 else self.recording.fixed(node, leaf)

    def _constant(self, node: str, value: Any) -> Carrier | Any:
        if not isinstance(value, Tensor):
            return value
        name = self.recording.name(value)
        return self.recording.fixed(node, value) if name is None else self.recording.named(node, name, value)

    def _carried(self, structure: Any) -> Any:
        def carrier(leaf: Any) -> Any:
            return leaf.carried if isinstance(leaf, Running) else self._constant("constant", leaf)

        return map_aggregate(structure, carrier)


def _concrete(structure: Any) -> Any:
    return map_aggregate(structure, lambda leaf: leaf.concrete if isinstance(leaf, Running) else leaf)


def _attribute(root: Any, path: str) -> Any:
    for name in path.split("."):
        root = getattr(root, name)
    return root
