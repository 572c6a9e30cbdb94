"""The channel graph of a model: who makes each channel, who reads it, what is tied, what pins it.

`trace` draws it once; it holds no weights, but looks at the model's when asked. `liveness()` reads the exact zeros
that stand in the weights now and says which channels nobody uses. All that a compaction needs is here:

- `sites`: for each axis of each parameter and buffer, the channel that every entry belongs to. What stays of an axis
  is `liveness.kept[site.channels]`.
- `carriers`: for each tensor of the pass, by the name of its node in `fx_graph`, the labels of its elements, so that
  sizes written in the program (split sizes, views) can be rewritten. `fx_graph` holds for inputs of any size, but for
  those programs that could only be drawn with `fixed_sizes`.
- `products`: every use of a layer, in order, with rows, columns and multiply-accumulates; `liveness.used[p.result]`
  says which columns each really uses, which is what a reader could gather, and `liveness.constants[p.result]` which
  constant it sees in each. A row that stays only for the shape of a sum may be anything: no output depends on it.
- `calls`: what was run, each in both modes unless it names one; `events`: every operation, in order, by the name of
  its node. Two passes of one program have the same events.
- `decisions`: lines of the program where a size, or a value of an input, decides about its way. The graph holds for
  calls that decide alike. `contexts`: where gradients are off or asked for, autocast is on, hooks run or weights are
  computed.
- `pinned`: (place, reason) of the operations that are not understood: what they take and give stays.
- `whole_macs`: (weight, multiply-accumulates) that no channel takes along: of recurrent layers among those, of weights
  that no layer here has (computed at each pass, sliced), and of other uses of those that one has.
- `direct`: why nothing of a parameter goes that is taken as a plain tensor, not as a layer's, by the parameter's name.
- `rewritten`: parameters that a pass writes into, as a table with `max_norm`.
- `modes_alike`: whether training mode computes what evaluation mode does, operation by operation with all options.
- `unused`: parameters that no call uses, so that what they read is not known. `notes`: what else is to be said.
- `norms_after`: the batch norm directly behind a layer, by the name of the layer's weight.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pandas as pd
from torch import Tensor, fx, nn

from winnow.engine.graph.calls import Call
from winnow.engine.graph.carriers import Carrier
from winnow.engine.graph.observer import GraphEvent
from winnow.engine.graph.partition import Labels
from winnow.engine.graph.records import Depthwise, Flow, Product, Site
from winnow.engine.graph.refusal import NotTraceable
from winnow.engine.graph.sized import Context, Decision
from winnow.engine.graph.spaces import Space
from winnow.engine.graph.steps import Step

if TYPE_CHECKING:
    from winnow.engine.graph.liveness import Liveness


@dataclass(frozen=True, eq=False)
class ChannelGraph:
    """What `trace` returns. Channels are numbered from 1; 0 stands for what is fixed."""

    model: nn.Module
    program: fx.Graph | None
    tensor_constants: Mapping[str, Tensor]
    count: int
    sites: tuple[Site, ...]
    spaces: tuple[Space, ...]
    products: tuple[Product, ...]
    depthwise: tuple[Depthwise, ...]
    flows: tuple[Flow, ...]
    steps: tuple[Step, ...]
    carriers: tuple[Carrier, ...]
    inputs: Mapping[str, Labels]
    outputs: Mapping[str, Labels]
    ends: Mapping[str, tuple[int, ...]]
    unmade: Labels
    norms_after: Mapping[str, str]
    fixed_sizes: bool
    calls: tuple[Call, ...] = ()
    events: tuple[GraphEvent, ...] = ()
    decisions: tuple[Decision, ...] = ()
    contexts: tuple[Context, ...] = ()
    pinned: tuple[tuple[str, str], ...] = ()
    whole_macs: tuple[tuple[str, float], ...] = ()
    direct: Mapping[str, str] = field(default_factory=dict)
    rewritten: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    modes_alike: bool = False

    @property
    def fx_graph(self) -> fx.Graph:
        """The program of the model.

        Raises:
            NotTraceable: it was not asked for, or torch.fx cannot draw it.

        """
        if self.program is None:
            why = next((note for note in self.notes if note.startswith("no program")), "no program was requested")
            raise NotTraceable("", why, "keep the model in its own class, or trace with `program=True`")
        return self.program

    def tensors(self, node: str) -> tuple[Carrier, ...]:
        """Return what a node of `fx_graph` gave: its tensors with their shapes and the channels of their elements."""
        return tuple(carrier for carrier in self.carriers if carrier.node == node)

    def liveness(self, outputs: Sequence[str] | None = None) -> "Liveness":
        """Return which channels the given outputs (all by default) need, with the weights as they stand now."""
        from winnow.engine.graph.liveness import Liveness

        return Liveness(self, outputs)

    def channels(self, outputs: Sequence[str] | None = None) -> pd.DataFrame:
        """Return one row per channel; see `engine.graph.tables.channel_table`."""
        from winnow.engine.graph.tables import channel_table

        return channel_table(self.liveness(outputs))

    def savings(self, outputs: Sequence[str] | None = None) -> pd.DataFrame:
        """Return what removal would save, per component; see `engine.graph.tables.savings`."""
        from winnow.engine.graph.tables import savings

        return savings(self.liveness(outputs))

    def streams(self, outputs: Sequence[str] | None = None) -> "tuple[pd.DataFrame, pd.DataFrame]":
        """Return layers, ends and joins in the order in which they run, and what goes from one to another.

        The columns are those of `engine.graph.streams.stream_tables`.
        """
        from winnow.engine.graph.streams import stream_tables, streams

        return stream_tables(streams(self), self.liveness(outputs))
