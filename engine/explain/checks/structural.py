"""Which shared channels do the heads read at all? The columns of the heads' weights that are exactly zero.

Relevance is measured on images and has an interval; this is certain: where a column is exactly zero, its reader cannot
see the channel, on any image.
"""

from collections.abc import Sequence

import pandas as pd
import torch

from winnow.engine.graph.graph import ChannelGraph
from winnow.engine.graph.records import Site
from winnow.engine.graph.sharing import inside, parts_of


def structural_use(graph: ChannelGraph, trunk: Sequence[str] = ()) -> pd.DataFrame:
    """Return one row per reader in a head and shared channel: task, layer, channel, norm, zero.

    A reader is a layer of a task's head that reads channels of the trunk (`engine.graph.sharing`); layer and channel
    are those of its input group. norm is ‖W[:, channel]‖; zero says whether it is exactly 0.

    Raises:
        ValueError: the trunk cannot be told.

    """
    readers = [(site, task) for task, own in head_readers(graph, trunk).items() for site in own]
    order = {id(site): place for place, site in enumerate(graph.sites)}
    frames = [_columns(graph, site, task) for site, task in sorted(readers, key=lambda own: order[id(own[0])])]
    columns = ["task", "layer", "channel", "norm", "zero"]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)


def head_readers(graph: ChannelGraph, trunk: Sequence[str] = ()) -> dict[str, list[Site]]:
    """Return, for every task, the readers in its head that read channels of the trunk, in the order of the graph.

    Raises:
        ValueError: the trunk cannot be told.

    """
    parts = parts_of(graph, trunk)
    made = {
        int(label)
        for site in graph.sites
        if site.role in ("writer", "depthwise") and inside(site.layer, parts.trunk)
        for label in site.channels.tolist()
    }
    return {
        task: [
            site
            for site in graph.sites
            if site.role == "reader" and inside(site.layer, own) and made & set(site.channels.tolist())
        ]
        for task, own in parts.heads.items()
    }


@torch.no_grad()
def _columns(graph: ChannelGraph, site: Site, task: str) -> pd.DataFrame:
    weight = graph.model.get_parameter(site.parameter)
    norms = weight.movedim(site.axis, 0).flatten(1).norm(dim=1).double().cpu().numpy()
    return pd.DataFrame(
        {"task": task, "layer": site.layer, "channel": range(len(norms)), "norm": norms, "zero": norms == 0}
    )
