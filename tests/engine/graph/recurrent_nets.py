"""Networks with recurrent layers in the forms that people write them in."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

INPUT, WIDTH, UNITS = 5, 6, 8
KINDS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}
CELLS = {"lstm": nn.LSTMCell, "gru": nn.GRUCell, "rnn": nn.RNNCell}


class Whole(nn.Module):
    """A layer over the sequence; its outputs and its last state are read."""

    def __init__(self, kind: str, **options: Any) -> None:
        super().__init__()
        self.embed, self.first = nn.Linear(INPUT, WIDTH), options.pop("batch_first", True)
        self.kind, self.rnn = kind, KINDS[kind](WIDTH, UNITS, batch_first=self.first, **options)
        width = options.get("proj_size", 0) or UNITS
        self.head = nn.Linear(width * (1 + bool(options.get("bidirectional"))), 3)
        self.last = nn.Linear(width, 2)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = torch.relu(self.embed(x))
        y, state = self.rnn(x if self.first else x.transpose(0, 1))
        state = state[0] if self.kind == "lstm" else state
        return {"each": self.head(y if self.first else y.transpose(0, 1)), "last": self.last(state[-1])}


class Packed(Whole):
    """The same on sequences of their own lengths."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        lengths = torch.tensor([x.shape[1] - i % 2 for i in range(len(x))])
        packed = pack_padded_sequence(torch.relu(self.embed(x)), lengths, batch_first=True, enforce_sorted=False)
        y, state = self.rnn(packed)
        state = state[0] if self.kind == "lstm" else state
        y, _ = pad_packed_sequence(y, batch_first=True)
        return {"each": self.head(y), "last": self.last(state[-1])}


class Loop(nn.Module):
    """A cell in a loop, from a state of its own or from none."""

    def __init__(self, kind: str, start: str) -> None:
        super().__init__()
        self.kind, self.start, self.units = kind, start, UNITS
        self.embed, self.cell, self.head = nn.Linear(INPUT, WIDTH), CELLS[kind](WIDTH, UNITS), nn.Linear(UNITS, 3)
        self.given = nn.Parameter(torch.randn(UNITS)) if start == "parameter" else None

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        state = self._first(x)
        found = []
        for step in self.embed(x).unbind(1):
            state = self.cell(step, state)
            found.append(state[0] if self.kind == "lstm" else state)
        return {"each": self.head(torch.stack(found, 1)), "last": self.head(found[-1])}

    def _first(self, x: Tensor) -> Any:
        if self.start == "none":
            return None
        made: dict[str, Callable[[], Tensor]] = {
            "zeros": lambda: torch.zeros(len(x), self.units, dtype=x.dtype),
            "new zeros": lambda: x.new_zeros(len(x), self.units),
            "ones": lambda: x.new_ones(len(x), self.units),
            "parameter": lambda: self.given.expand(len(x), -1) + 0,
        }
        state = made[self.start]()
        return (state, state) if self.kind == "lstm" else state


class Translating(nn.Module):
    """An encoder whose last state starts a decoder, and attention over what it gave."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.encoder, self.decoder = (KINDS[kind](INPUT, UNITS, batch_first=True) for _ in range(2))
        self.head = nn.Linear(2 * UNITS, 3)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        seen, state = self.encoder(x)
        y, _ = self.decoder(x.flip(1), state)
        looked = (y @ seen.transpose(1, 2)).softmax(-1) @ seen
        return {"each": self.head(torch.cat([y, looked], -1))}


NETS: dict[str, Callable[[str], nn.Module]] = {
    "one": Whole,
    "two levels": lambda kind: Whole(kind, num_layers=2),
    "two levels, dropout": lambda kind: Whole(kind, num_layers=2, dropout=0.2),
    "both ways": lambda kind: Whole(kind, bidirectional=True),
    "two levels, both ways": lambda kind: Whole(kind, num_layers=2, bidirectional=True),
    "no bias": lambda kind: Whole(kind, bias=False),
    "time first": lambda kind: Whole(kind, batch_first=False),
    "packed": Packed,
    "packed, both ways": lambda kind: Packed(kind, bidirectional=True),
    "loop": lambda kind: Loop(kind, "none"),
    "loop from zeros": lambda kind: Loop(kind, "zeros"),
    "loop from new zeros": lambda kind: Loop(kind, "new zeros"),
    "loop from ones": lambda kind: Loop(kind, "ones"),
    "loop from a parameter": lambda kind: Loop(kind, "parameter"),
    "translating": Translating,
}
