"""Which shared channels do the heads read at all? The columns of the heads' weights that are exactly zero.

Relevance is measured on images and has an interval; this is certain: where a column is exactly zero, its reader cannot
see the channel, on any image.
"""

import pandas as pd
import torch

from winnow.engine.graph.graph import ChannelGraph
from winnow.engine.graph.records import Site


def structural_use(graph: ChannelGraph, trunk: str = "trunk", heads: str = "heads") -> pd.DataFrame:
    """Return one row per reader in a head and shared channel: task, layer, channel, norm, zero.

    A reader is a layer of `heads.<task>` that reads channels of the trunk; layer and channel are those of its input
    group. norm is ‖W[:, channel]‖; zero says whether it is exactly 0.
    """
    made = {
        int(label)
        for site in graph.sites
        if site.role in ("writer", "depthwise") and site.layer.startswith(f"{trunk}.")
        for label in site.channels.tolist()
    }
    frames = [
        _columns(graph, site, heads)
        for site in graph.sites
        if site.role == "reader" and site.layer.startswith(f"{heads}.") and made & set(site.channels.tolist())
    ]
    columns = ["task", "layer", "channel", "norm", "zero"]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)


@torch.no_grad()
def _columns(graph: ChannelGraph, site: Site, heads: str) -> pd.DataFrame:
    weight = graph.model.get_parameter(site.parameter)
    norms = weight.movedim(site.axis, 0).flatten(1).norm(dim=1).double().cpu().numpy()
    task = site.layer.removeprefix(f"{heads}.").partition(".")[0]
    return pd.DataFrame(
        {"task": task, "layer": site.layer, "channel": range(len(norms)), "norm": norms, "zero": norms == 0}
    )
