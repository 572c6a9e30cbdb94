"""Which module is running: a stack of paths, kept by hooks on all modules while a model is watched."""

import threading
from types import TracebackType
from typing import Any

from torch import nn
from torch.nn.modules import module as hooks


class Paths:
    """The modules whose forward is running, the innermost last."""

    def __init__(self, model: nn.Module) -> None:
        self._names = {id(module): name for name, module in model.named_modules()}
        self._stack: list[tuple[str, nn.Module]] = [("", model)]
        self._thread = threading.get_ident()
        self._handles: list[Any] = []

    @property
    def path(self) -> str:
        """The path of the innermost module that the model knows."""
        return self._stack[-1][0]

    @property
    def module(self) -> nn.Module:
        """The innermost module, known to the model or made in its forward pass."""
        return self._stack[-1][1]

    def __enter__(self) -> "Paths":
        self._handles = [
            hooks.register_module_forward_pre_hook(self._enter),
            hooks.register_module_forward_hook(self._leave, always_call=True),
        ]
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for handle in self._handles:
            handle.remove()

    def _enter(self, module: nn.Module, inputs: Any) -> None:
        if threading.get_ident() == self._thread:
            self._stack.append((self._names.get(id(module), self.path), module))

    def _leave(self, module: nn.Module, inputs: Any, output: Any) -> None:
        if threading.get_ident() == self._thread and len(self._stack) > 1:
            self._stack.pop()
