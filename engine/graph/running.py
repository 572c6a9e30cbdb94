"""A proxy that knows its value: what torch.fx draws with, plus what the operation gave on the example."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.node import map_aggregate
from torch.utils.checkpoint import CheckpointFunction

from winnow.engine.graph.operation import tensors_in
from winnow.engine.graph.refusal import NotTraceable

CONTROL = "flow of control that depends on the values of a tensor"
ADVICE = "decide by sizes or options, or use torch.where"
MAKERS = (
    "rand", "randn", "zeros", "ones", "full", "empty", "arange", "linspace", "eye", "randint", "randperm", "tensor",
    "tril_indices", "triu_indices", "finfo",
)  # fmt: skip


KINDS = ("is_nested", "is_sparse", "is_quantized", "is_mkldnn")  # the same at every size and value


class Running(fx.Proxy):
    """A node with its `concrete` value and, in the same structure, the carriers of the tensors in it.

    Sizes may be compared, counted and looped over as in the plain program; the values of tensors may not.
    """

    def __init__(self, node: fx.Node, tracer: Any) -> None:
        super().__init__(node, tracer)
        self.concrete: Any = None
        self.carried: Any = None

    def __getattr__(self, name: str) -> Any:
        """Return a method to call, or the attribute as a value of its own."""
        if name.startswith("__"):
            raise AttributeError(name)
        found = getattr(self.concrete, name)
        if callable(found):
            return super().__getattr__(name)
        if name in KINDS and isinstance(self.concrete, Tensor):
            return found
        return self.tracer.create_proxy("call_function", getattr, (self, name), {})

    def _number(self) -> Any:
        if tensors_in((self.concrete,)):
            raise NotTraceable(self.tracer.path, CONTROL, ADVICE)  # type: ignore[attr-defined]
        self._frozen()
        return self.concrete

    def _frozen(self) -> None:
        """Note that a size became a plain number: the program that is drawn holds for this size."""
        self.tracer.frozen.append(self.tracer.path)  # type: ignore[attr-defined]

    def __bool__(self) -> bool:
        return bool(self._number())

    def __index__(self) -> int:
        return int(self._number())

    def __int__(self) -> int:
        return int(self._number())

    def __float__(self) -> float:
        return float(self._number())

    def __setitem__(self, place: Any, value: Any) -> None:
        raise NotTraceable(self.tracer.path, "assignment into a tensor", "use torch.cat, torch.where or a mask")  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return id(self)

    def __len__(self) -> int:
        if isinstance(self.concrete, Tensor):
            self._frozen()
        return len(self.concrete)

    def counted(self) -> Any:
        """Return the length as a proxy."""
        shape: Any = self.shape if isinstance(self.concrete, Tensor) else None
        return self.tracer.create_proxy("call_function", len, (self,), {}) if shape is None else shape[0]

    def __contains__(self, item: Any) -> bool:
        return item in (self.concrete if isinstance(self.concrete, Mapping) else self._number())

    def __iter__(self) -> Iterator[Any]:
        if isinstance(self.concrete, Mapping):
            return iter(self.concrete)
        first: Any = self
        return iter([first[place] for place in range(len(self.concrete))])


@contextmanager
def sizes_drawn(model: nn.Module) -> Iterator[None]:
    """Let `len` and the functions that make tensors of a size take proxies; by themselves they would ask for numbers.

    `len` is exchanged in the modules that the model's code is in. Whoever else calls them finds what he expects.
    What is checkpointed runs as written: a reentrant checkpoint would draw it as a region without gradients.
    """
    places = {id(found): found for module in model.modules() if (found := _code_of(module)) is not None}
    patched = [place for place in places.values() if "len" not in place]
    makers = {name: getattr(torch, name) for name in MAKERS}
    for place in patched:
        place["len"] = _length
    for name, maker in makers.items():
        setattr(torch, name, _drawing(maker))
    checkpoint: Any = CheckpointFunction
    checkpoint.apply = _as_written
    try:
        yield
    finally:
        del checkpoint.apply  # torch's own, of the base class, is seen again
        for place in patched:
            del place["len"]
        for name, maker in makers.items():
            setattr(torch, name, maker)


def _as_written(function: Callable[..., Any], _: bool, *args: Any) -> Any:
    return function(*args)


def _drawing(maker: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that is drawn where it is given a proxy."""

    @wraps(maker)
    def made(*args: Any, **kwargs: Any) -> Any:
        found: list[Running] = []
        map_aggregate((args, kwargs), lambda leaf: found.append(leaf) if isinstance(leaf, Running) else None)
        if not found:
            return maker(*args, **kwargs)
        tracer: Any = found[0].tracer
        return tracer.create_proxy("call_function", maker, args, kwargs)

    return made


def _code_of(module: nn.Module) -> dict[str, Any] | None:
    """Return the globals of the module's forward pass, None for torch's own."""
    found: dict[str, Any] = getattr(type(module).forward, "__globals__", {})
    return None if str(found.get("__name__", "torch")).partition(".")[0] == "torch" else found


def _length(value: Any) -> Any:
    return value.counted() if isinstance(value, Running) else len(value)
