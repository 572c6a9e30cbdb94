"""Rules of recurrent layers: LSTM, GRU and RNN over a sequence, and their cells in a loop.

A hidden unit j is one channel: its rows of every gate in W_ih, W_hh and the biases, its column of W_hh, and whatever
reads it. A layer of several levels or two directions has one width for all of them, so that unit j of each goes with
unit j of the others. A unit is constantly zero where the rows of its candidate (g of an LSTM, n of a GRU, the only ones
of an RNN) are zero, biases too, and it starts at zero: h = o·tanh(f·0 + i·tanh(0)) = 0, h = (1 − z)·tanh(0) + z·0 = 0.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor, nn

from winnow.engine.graph.carriers import Carrier
from winnow.engine.graph.operation import Operation
from winnow.engine.graph.partition import FIXED, Labels
from winnow.engine.graph.recording import Recording
from winnow.engine.graph.records import Reach
from winnow.engine.graph.recurrent_steps import CellStep, RecurrentLevel, RecurrentStep, Wires
from winnow.engine.graph.refusal import COMPUTED
from winnow.engine.graph.steps import Keep, Move, Zero

RECURRENT = (nn.RNNBase, nn.RNNCellBase)
GATES = {"lstm": (4, 2), "gru": (3, 2), "rnn": (1, 0)}  # how many there are, and which one is the candidate
LAYERS = ("lstm", "gru", "rnn_tanh", "rnn_relu")
GIVEN = "its initial state is given from outside, so let it start at zero"


@dataclass(frozen=True)
class _Asked:
    """The arguments of a recurrent layer by their names."""

    state: tuple[Any, ...]
    weights: list[Tensor]
    biased: bool
    levels: int
    directions: int

    @property
    def each(self) -> int:
        """How many tensors each level and direction has."""
        return len(self.weights) // (self.levels * self.directions)


def recurrent(recording: Recording, operation: Operation) -> tuple[Carrier, ...]:
    """torch.lstm, gru, rnn_tanh and rnn_relu, on padded or packed sequences.

    Raises:
        NotTraceable: the state is projected, a weight is computed, or the initial state is a parameter.

    """
    kind = operation.name.partition("_")[0]
    asked = _asked(operation)
    if asked.each != (4 if asked.biased else 2):
        raise operation.refusal("projects its state (`proj_size`), so leave that out")
    gates, candidate = GATES[kind]
    source, width = operation.carrier(), asked.weights[1].shape[1]
    units = _units(recording, operation, asked.weights[0], gates, width)
    levels = tuple(_level(recording, operation, parts, gates, units) for parts in _parts(asked))
    inputs = recording.along(source, -1)
    for place, level in enumerate(levels):
        columns = inputs if place < asked.directions else np.tile(units, asked.directions)
        recording.site((operation.path, "reader"), level.weight_ih, 1, columns)
    states = tuple(_state(recording, operation, part, units) for part in asked.state)
    results = tuple(
        recording.layer_result(_giving(operation, value), np.tile(units, asked.directions if first else 1), -1)
        for first, value in zip((True, False, False), operation.result, strict=False)
    )
    recording.flows.append(Reach(operation.path, np.unique(np.concatenate([inputs, units])), units))
    wires = Wires(source.index, tuple(r.index for r in results), states, inputs, units, gates, candidate)
    recording.steps.append(RecurrentStep(wires, levels, asked.directions))
    return results


def recurrent_cell(recording: Recording, operation: Operation) -> Any:
    """torch.lstm_cell, gru_cell, rnn_tanh_cell and rnn_relu_cell: one step of a loop; all steps have the same units.

    Raises:
        NotTraceable: a weight is computed, or the state that it starts from is a parameter.

    """
    gates, candidate = GATES[operation.name.partition("_")[0]]
    source, weights = operation.carrier(), [part for part in operation.args[2:] if isinstance(part, Tensor)]
    units = _units(recording, operation, weights[0], gates, weights[1].shape[1])
    level = _level(recording, operation, tuple(weights), gates, units)
    inputs = recording.along(source, -1)
    recording.site((operation.path, "reader"), level.weight_ih, 1, inputs)
    state = operation.carried_args[1]
    states = tuple(
        _state(recording, operation, part, units) for part in (state if isinstance(state, tuple | list) else (state,))
    )
    given = operation.result if isinstance(operation.result, tuple) else (operation.result,)
    results = tuple(recording.layer_result(_giving(operation, value), units, -1) for value in given)
    recording.flows.append(Reach(operation.path, np.unique(np.concatenate([inputs, units])), units))
    wires = Wires(source.index, tuple(r.index for r in results), states, inputs, units, gates, candidate)
    recording.steps.append(CellStep(wires, level))
    return results if isinstance(operation.result, tuple) else results[0]


def stays_whole(recording: Recording, operation: Operation) -> None:
    """Note the MACs of a recurrent layer or cell that is pinned: at each step, every entry of a matrix once.

    They are NaN where its arguments cannot be read. Other operations have none here.
    """
    if operation.name.removesuffix("_cell") not in LAYERS:
        return
    name = f"{operation.path}.weight".lstrip(".")
    if operation.kwargs:
        recording.whole_macs.append((name, math.nan))
        return
    weights = operation.args[2:] if operation.name.endswith("_cell") else _asked(operation).weights
    matrices = [own for own in weights if isinstance(own, Tensor) and own.dim() > 1]
    name = next(filter(None, map(recording.name, matrices)), name)
    recording.whole_macs.append((name, _places(recording, operation) * sum(own.numel() for own in matrices)))


def packed_sequence(recording: Recording, operation: Operation) -> tuple[Carrier, Carrier]:
    """_pack_padded_sequence: (B, T, C) becomes (steps, C), with the number of sequences of each step."""
    source, (data, sizes) = operation.carrier(), operation.result
    if any(length > 1 for length in source.labels.shape[:2]):
        raise operation.refusal("has channels along the sequence")
    labels = source.labels.reshape((1, *source.labels.shape[2:]))
    made = recording.result(operation, labels, data)
    recording.steps.append(Keep(made.index, source.index, source.labels.shape, labels.shape))
    return made, recording.fixed(operation.node, sizes)


def unpacked_sequence(recording: Recording, operation: Operation) -> tuple[Carrier, Carrier]:
    """_pad_packed_sequence: (steps, C) becomes (B, T, C) again, with a number where a sequence has ended."""
    source, (data, lengths) = operation.carrier(), operation.result
    if source.labels.shape[0] > 1:
        raise operation.refusal("has channels along the sequence")
    labels = source.labels.reshape((1, *source.labels.shape))
    made = recording.result(operation, labels, data)
    fill = float(operation.value(3, "padding_value", 0.0))
    recording.steps.append(Keep(made.index, source.index, source.labels.shape, labels.shape, kept=fill))
    return made, recording.fixed(operation.node, lengths)


def _asked(operation: Operation) -> _Asked:
    """Return the arguments; a packed sequence has the sizes of its steps in front of the state."""
    args = operation.args
    first = 1 if isinstance(args[3], bool) else 2
    state = operation.carried_args[first]
    weights, biased, levels, _, _, both = args[first + 1 : first + 7]
    states = tuple(state) if isinstance(state, tuple | list) else (state,)
    return _Asked(states, list(weights), biased, levels, 2 if both else 1)


def _parts(asked: _Asked) -> Iterator[tuple[Tensor, ...]]:
    for start in range(0, len(asked.weights), asked.each):
        yield tuple(asked.weights[start : start + asked.each])


def _giving(operation: Operation, value: Tensor) -> Operation:
    return replace(operation, result=value)


def _units(recording: Recording, operation: Operation, weight: Tensor, gates: int, width: int) -> Labels:
    """Return the hidden units: new ones, or those of the layer's first use."""
    name = recording.name(weight)
    if name is None:
        raise operation.refusal(COMPUTED)
    known = recording.sites.get((name, 0))
    return recording.partition.fresh(width) if known is None else known.channels[: len(known.channels) // gates]


def _level(
    recording: Recording, operation: Operation, parts: tuple[Tensor, ...], gates: int, units: Labels
) -> RecurrentLevel:
    """Enter the rows of all gates and the columns of W_hh of one level and direction."""
    names = [recording.name(part) for part in parts]
    if None in names:
        raise operation.refusal(COMPUTED)
    plain = [name for name in names if name is not None]
    rows = np.tile(units, gates)
    for name in plain:
        recording.site((operation.path, "writer"), name, 0, rows)
    recording.site((operation.path, "reader"), plain[1], 1, units)
    return RecurrentLevel(plain[0], plain[1], tuple(plain[2:]), _places(recording, operation))


def _places(recording: Recording, operation: Operation) -> float:
    """Return the steps of one image's sequence; 0 in a later call, as what an image costs is counted in the first."""
    if not recording.primary:
        return 0.0
    given = operation.result[0] if isinstance(operation.result, tuple) else operation.result
    return float(given.numel() // given.shape[-1] / recording.images)


def _state(recording: Recording, operation: Operation, part: Any, units: Labels) -> int:
    """Tie a state to the units that start from it; one of zeros has any width."""
    if not isinstance(part, Carrier):
        raise operation.refusal("starts from a parameter, which is not followed")
    if part.labels.shape[-1] > 1 or part.bears:
        recording.partition.tie(recording.along(part, -1), units)
    elif part.index in recording.varying and not _is_zero(recording, part.index):
        recording.mix(operation, GIVEN, [units], np.array([FIXED]))
    return part.index


def _is_zero(recording: Recording, carrier: int) -> bool:
    """Whether a tensor is made of zeros, and moved at most."""
    for step in reversed(recording.steps):
        if isinstance(step, Zero) and step.result == carrier:
            return True
        if isinstance(step, Move) and step.result == carrier and len(step.sources) == 1 and step.fill == 0:
            carrier = step.sources[0]
        elif isinstance(step, Keep) and step.result == carrier:
            carrier = step.source
    return False
