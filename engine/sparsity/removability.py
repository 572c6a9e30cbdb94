"""Whether the channel behind each group can be removed and, if not, which layers read it.

A zero input group says that one layer ignores a channel. The channel itself can be removed when every reader ignores
it. So a zero group and a removable channel are two things; `removability` puts them side by side.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from winnow.engine.graph.graph import ChannelGraph
from winnow.engine.graph.partition import FIXED, Labels
from winnow.engine.sparsity.groups import Bank


def removability(graph: ChannelGraph, table: pd.DataFrame, banks: Sequence[Bank]) -> pd.DataFrame:
    """Return one row per channel of every bank, in order: layer, channel, removable, blocked (why not, in words).

    `table` is `engine.graph.tables.channel_table` of the graph.
    """
    labels = [space.channels for space in graph.spaces]
    removable, blocked = np.zeros(graph.count, bool), np.full(graph.count, "fixed: no layer makes it", object)
    if labels:
        known = np.concatenate(labels)
        removable[known], blocked[known] = table["removable"], table["blocked"]
    frames = []
    for bank in banks:
        if bank.apart:
            frames.append(_expert(bank))
            continue
        own = labels_of(graph, bank)
        frames.append(
            pd.DataFrame(
                {
                    "layer": bank.layer,
                    "channel": np.arange(bank.channels),
                    "removable": removable[own],
                    "blocked": blocked[own],
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def _expert(bank: Bank) -> pd.DataFrame:
    """An expert goes as soon as its own group is zero, for then it adds nothing to any mixture."""
    dead = (bank.norms() == 0).cpu().numpy()
    blocked = np.where(dead, "", f"{bank.layer}: its last layer gives something to the mixture")
    columns = {"layer": bank.layer, "channel": np.arange(bank.channels), "removable": dead, "blocked": blocked}
    return pd.DataFrame(columns)


def labels_of(graph: ChannelGraph, bank: Bank) -> Labels:
    """Return the channel of the graph behind each channel of a bank, FIXED where there is none: (channels,)."""
    axis = bank.members[0]
    names = [name for name, parameter in graph.model.named_parameters() if parameter is axis.parameter]
    for site in graph.sites:
        if site.parameter in names and site.axis == axis.axis:
            entries = axis.start + axis.repeat * np.arange(axis.channels)
            return site.channels[entries % len(site.channels)]  # the blocks of a grouped convolution share their list
    return np.full(bank.channels, FIXED)
