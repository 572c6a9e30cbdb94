"""The signature of a pass: what was done, in which order, to what, so that two passes can be compared without drawing.

Two passes with one signature have one graph: the same operations in the same modules on the same operands and
parameters, with the same sizes and options. What randomness and norms take besides tensors is left out, since modes
differ in just that.
"""

from typing import Any

import torch
from torch import Tensor
from torch.fx.node import map_aggregate
from torch.utils.weak import WeakTensorKeyDictionary

from winnow.engine.graph.operation import tensors_in
from winnow.engine.graph.recording import Recording

RANDOM = ("rand", "bernoulli", "multinomial", "dropout", "normal_", "uniform_", "exponential_", "poisson", "rrelu")
UNLIKE = (*RANDOM, "batch_norm", "instance_norm", "attention")  # modes differ in their options
READ = 4096  # elements of a constant of whole numbers, such as an index, that are compared


class Signature:
    """The operations of a pass so far, and the parameters that they used."""

    def __init__(self, recording: Recording) -> None:
        self.entries: list[Any] = []
        self.used: set[str] = set()
        self._recording = recording
        self._marks: Any = WeakTensorKeyDictionary()

    def enter_input(self, name: str, tensor: Tensor) -> None:
        """Note an input."""
        self._marks[tensor] = ("input", name)

    def enter(self, name: str, path: str, given: Any, made: list[Tensor]) -> None:
        """Note an operation; one on constants and parameters alone is part of what it made."""
        operands = tensors_in(given)
        derived = any(isinstance(self._marks.get(operand), tuple) for operand in operands)
        marks = tuple(self._mark(operand) for operand in operands)
        shapes = tuple(tuple(int.__index__(n) for n in tensor.shape) for tensor in made)
        entry = (name, path, marks, () if any(part in name for part in UNLIKE) else _options(given), shapes)
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


def _options(given: Any) -> tuple[str, ...]:
    found: list[str] = []

    def note(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor | bool):
            found.append(str(leaf))
        return leaf

    map_aggregate(given, note)
    return tuple(found)
