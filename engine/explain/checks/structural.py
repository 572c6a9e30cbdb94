"""Which shared channels do the heads read at all? Exact zeros in the columns of the heads, whatever is attributed.

Attributed use is measured on images and has an interval; structural use is certain: a column that is exactly zero
makes the channel invisible to that reader, on every image.
"""

import pandas as pd
import torch

from winnow.engine.graph.graph import ChannelGraph
from winnow.engine.graph.records import Site


def structural_use(graph: ChannelGraph, trunk: str = "trunk", heads: str = "heads") -> pd.DataFrame:
    """Return one row per head's reader and shared channel: task, layer, channel, norm, zero.

    A reader is a layer of `heads.<task>` that reads channels which the trunk makes; layer and channel are the names of
    its input group. norm is ‖W[:, channel]‖, zero whether it is exactly 0.
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
