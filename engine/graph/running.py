"""A proxy that knows its value: what torch.fx draws with, plus what the operation gave on the example."""

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, fx

from winnow.engine.graph.operation import tensors_in
from winnow.engine.graph.refusal import NotTraceable

CONTROL = "flow of control that depends on the values of a tensor"
ADVICE = "decide by sizes or options, or use torch.where"


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
        if callable(getattr(self.concrete, name)):
            return super().__getattr__(name)
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

    def __contains__(self, item: Any) -> bool:
        return item in (self.concrete if isinstance(self.concrete, Mapping) else self._number())

    def __iter__(self) -> Iterator[Any]:
        if isinstance(self.concrete, Mapping):
            return iter(self.concrete)
        first: Any = self
        return iter([first[place] for place in range(len(self.concrete))])
