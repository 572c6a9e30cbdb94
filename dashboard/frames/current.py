"""The engine's tables of what stands now (engine.jobs.epoch_report), read again only when they are replaced.

| function     | columns                                                                                            |
|--------------|----------------------------------------------------------------------------------------------------|
| `groups`     | layer, channel, size, norm, relative, state, firmness, removable, blocked: one row per group       |
| `kernel`     | row, column, magnitude: the positions of the kernels that read one channel                         |
| `components` | component, parameters, macs, removable_parameters, removable_macs, gathered_macs: trunk, heads,    |
|              | total                                                                                              |
| `shares`     | component, parameters, MACs, removable parameters, removable MACs, with gathers [%]                |
| `edge`       | layer, channel, state, distance, norm, relative, firmness, removable: who may change sides,        |
|              | the nearest first                                                                                  |

A run that has not finished its first epoch has none of them: the frames are empty then.
"""

import pandas as pd

from winnow.dashboard.frames.file_versions import Version
from winnow.dashboard.frames.stored_tables import stored, stored_version
from winnow.engine.runs.run import Run

OF_AN_IMAGE = "the model's input"  # in the reason why a channel stays: engine.graph.tables
COLUMNS = {
    "groups": ("layer", "channel", "size", "norm", "relative", "state", "firmness", "removable", "blocked"),
    "kernels": ("layer", "channel", "row", "column", "magnitude"),
    "components": (
        "component",
        "parameters",
        "macs",
        "removable_parameters",
        "removable_macs",
        "gathered_macs",
    ),
}


def groups(run: Run) -> pd.DataFrame:
    """Return one row per group."""
    return stored(run, "groups", COLUMNS)


def kernel(run: Run, layer: str, channel: int) -> pd.DataFrame:
    """Return one row per position of the kernels that read a channel; none where no convolution's group does."""
    whole = stored(run, "kernels", COLUMNS)
    own = whole[(whole["channel"] == channel) & (whole["layer"] == layer)]
    return own[["row", "column", "magnitude"]].reset_index(drop=True)


def components(run: Run) -> pd.DataFrame:
    """Return one row per component of the network, the last the total."""
    return stored(run, "components", COLUMNS)


def shares(run: Run) -> pd.DataFrame:
    """Return one row per component: its size, and how much of it could be removed now [%]."""
    known = components(run)
    return pd.DataFrame(
        {
            "component": known["component"],
            "parameters": known["parameters"],
            "MACs": known["macs"],
            "removable parameters": 100 * known["removable_parameters"] / known["parameters"],
            "removable MACs": 100 * known["removable_macs"] / known["macs"],
            "with gathers": 100 * known["gathered_macs"] / known["macs"],
        }
    )


def group(run: Run, layer: str, channel: int) -> pd.Series | None:
    """Return the row of one group, None where there is none."""
    known = groups(run)
    own = known[(known["channel"] == channel) & (known["layer"] == layer)]
    return own.iloc[0] if len(own) else None


def edge(run: Run) -> pd.DataFrame:
    """Return the groups near the threshold and the dead ones, those that may change sides soonest first.

    The distance is 1 − firmness of a dead group: at 0 the loss pulls as hard as the penalty withstands; and of a living
    one its norm ÷ the largest of its layer: at 0 it dies.
    """
    known = groups(run)
    close = known[known["state"] != "alive"]
    distance = (1 - close["firmness"]).clip(lower=0).where(close["state"] == "dead", close["relative"])
    columns = ["layer", "channel", "state", "distance", "norm", "relative", "firmness", "removable"]
    return close.assign(distance=distance).sort_values("distance", kind="stable")[columns].reset_index(drop=True)


def layers_of_images(run: Run) -> set[str]:
    """Return the layers whose groups are channels of the images; none where the groups are not input channels."""
    known = groups(run)
    if run.spec.penalty.groups != "input" or known.empty:
        return set()
    images = known["blocked"].astype(str).str.contains(OF_AN_IMAGE, regex=False)
    return {str(layer) for layer, own in images.groupby(known["layer"].astype(str)) if own.all()}


def tables_version(run: Run) -> Version:
    """Return when the tables were last replaced."""
    return stored_version(run, "groups")
