"""The units of pruning under a budget: removable channels, each with all that writes it and all that reads it.

A unit is a coupled group (`engine.sparsity.groups.coupled`), so that the removal of any set of them is exact: with its
weights at zero the model computes what it computes without the channel. Units of one class stand side by side
everywhere: the outputs of one layer, or the channels of a residual stream, whose writers and readers are tied. A class
never loses all its channels, so that no layer dies.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import nn

from winnow.engine.graph.graph import ChannelGraph
from winnow.engine.graph.partition import Labels
from winnow.engine.graph.trace import trace
from winnow.engine.graph.weights import Flags, Values
from winnow.engine.sparsity.groups import Group
from winnow.engine.sparsity.groups.coupled import channel_groups, removable_spaces


@dataclass(frozen=True, eq=False)
class Units:
    """All removable channels of a model, in the order of its graph: entry u of a vector of scores is about unit u.

    `groups` are their weights; `channels` (units,) their numbers in `graph`; `classes` (units,) the class of each, a
    number from 0 on, and `places` (units,) their place inside it.
    """

    graph: ChannelGraph
    groups: tuple[Group, ...]
    channels: Labels
    classes: Labels
    places: Labels
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.groups)

    @cached_property
    def unit_of(self) -> Labels:
        """(channels of the graph,): the unit that each channel is, -1 for those that cannot go."""
        found = np.full(self.graph.count, -1)
        found[self.channels] = np.arange(len(self))
        return found

    def idle(self, tasks: Sequence[str] | None = None) -> Flags:
        """Return (units,): whether a channel could go as the weights stand, since none of the tasks' outputs needs it.

        Raises:
            ValueError: `tasks` names what the model does not return.

        """
        known = {name.partition(".")[0] for name in self.graph.outputs}
        if unknown := [task for task in tasks or () if task not in known]:
            raise ValueError(f"`tasks` must be among the model's outputs {sorted(known)}, got {unknown}.")
        outputs = [name for name in self.graph.outputs if tasks is None or name.partition(".")[0] in tasks]
        return ~self.graph.liveness(outputs).kept[self.channels]

    def chosen(self, marked: Flags) -> list[Group]:
        """Return the groups of the units that are marked, (units,)."""
        return [group for group, taken in zip(self.groups, marked, strict=True) if taken]

    def frame(self, **columns: Values | Flags | NDArray[Any]) -> pd.DataFrame:
        """Return one row per unit: layer (the name of its class), channel (its place in it), and the columns given."""
        layers = [self.names[kind] for kind in self.classes]
        return pd.DataFrame({"layer": layers, "channel": self.places, **columns})


def units(
    model: nn.Module, example_inputs: Any, *, within: Sequence[str] = (), graph: ChannelGraph | None = None
) -> Units:
    """Return the removable channels of a model.

    Args:
        model: any module that `engine.graph.trace` follows.
        example_inputs: what `trace` takes.
        within: names of submodules, such as ("trunk",), whose channels alone may go. Empty: the whole model.
        graph: the model's graph, if it was traced already.

    Raises:
        NotTraceable: the model's channels cannot be followed.

    """
    graph = trace(model, example_inputs, program=True) if graph is None else graph
    spaces = removable_spaces(graph, within)
    sizes = [len(space.channels) for space in spaces]
    empty = [np.zeros(0, np.int64)]
    return Units(
        graph=graph,
        groups=tuple(channel_groups(graph, within)),
        channels=np.concatenate([*empty, *(space.channels for space in spaces)]),
        classes=np.repeat(np.arange(len(spaces)), sizes),
        places=np.concatenate([*empty, *(np.arange(size) for size in sizes)]),
        names=tuple(space.name for space in spaces),
    )
