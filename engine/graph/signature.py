"""The signature of a pass: what was done, in which order, to what, so that two passes can be compared without drawing.

Two passes with one signature have one graph: the same operations in the same modules on the same operands and
parameters, with the same sizes and options. What randomness and norms take besides tensors is left out, since modes
differ in just that.
"""

from typing import Any

import torch
from torch import Tensor

from winnow.engine.graph.memory import TensorTable
from winnow.engine.graph.operation import inside_of, tensors_in
from winnow.engine.graph.recording import Recording

RANDOM = ("rand", "bernoulli", "multinomial", "dropout", "normal_", "uniform_", "exponential_", "poisson", "rrelu")
UNLIKE = (*RANDOM, "batch_norm", "instance_norm", "attention")  # modes differ in their options
READ = 4096  # elements of a constant of whole numbers, such as an index, that are compared


class Signature:
    """The operations of a pass so far, and the parameters that they used.

    `flags` are the names and options of all operations, those too that `entries` leave out: two passes that agree in
    both compute the same.
    """

    def __init__(self, recording: Recording) -> None:
        self.entries: list[Any] = []
        self.used: set[str] = set()
        self._recording = recording
        self._marks = TensorTable()
        self.flags: list[Any] = []

    def enter_input(self, name: str, tensor: Tensor) -> None:
        """Note an input."""
        self._marks[tensor] = ("input", name)

    def enter(self, name: str, path: str, given: Any, made: list[Tensor]) -> None:
        """Note an operation; one on constants and parameters alone is part of what it made."""
        marks = tuple([self._mark(operand) for operand in tensors_in(given)])
        derived = any(isinstance(mark, tuple) for mark in marks)
        shapes = tuple([tuple(tensor.shape) for tensor in made])
        options, flags = _options(given)
        unlike = any(part in name for part in UNLIKE)
        entry = (name, path, marks, () if unlike else options, shapes)
        self.flags.append((name, options, flags) if unlike else (name, flags))
        if derived:
            self.entries.append(entry)
        for place, tensor in enumerate(made):
            if self._recording.name(tensor) is None or derived:
                self._marks[tensor] = ("made", len(self.entries), place) if derived else hash((entry, place))

    def mark_end(self, named: list[tuple[str, Tensor]]) -> None:
        """Note what the pass returns."""
        self.entries.append(tuple((name, self._mark(tensor)) for name, tensor in named))

    def _mark(self, tensor: Tensor) -> Any:
        found = self._marks.get(tensor)
        if found is not None:
            return found
        name = self._recording.name(tensor)
        if name is not None:
            self.used.add(name)
            return name
        whole = tensor.dtype in (torch.int64, torch.int32, torch.bool) and tensor.numel() <= READ
        return hash(tensor.detach().cpu().numpy().tobytes()) if whole else "constant"


def _options(given: Any) -> tuple[tuple[Any, ...], tuple[bool, ...]]:
    """Return the arguments that are no tensors, in order: those of any type but bool, and those of type bool."""
    options: list[Any] = []
    flags: list[bool] = []
    _note(given, options, flags)
    return tuple(options), tuple(flags)


def _note(structure: Any, options: list[Any], flags: list[bool]) -> None:
    for part in inside_of(structure):
        kind = type(part)
        if kind is bool:
            flags.append(part)
        elif kind is int or kind is str or part is None:
            options.append(part)
        elif isinstance(part, tuple | list | dict | slice):
            _note(part, options, flags)
        elif not isinstance(part, Tensor):
            options.append(str(part))
