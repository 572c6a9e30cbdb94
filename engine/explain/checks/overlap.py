"""Do tasks choose the same channels? The surviving channels of several runs compared, layer by layer; no torch.

Where single-task runs agree in early layers and differ in later ones, the early layers are what the tasks can share:
the watershed of DiSparse (Sun et al., arXiv 2206.04662). Compared with a multi-task run: which of its survivors does
each task choose alone?
"""

from collections.abc import Mapping
from itertools import combinations

import pandas as pd

COLUMNS = ["layer", "depth", "one", "other", "jaccard", "chance", "one_in_other", "other_in_one"]


def survivor_overlap(survivors: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return, for every layer and every two runs, how much their surviving channels overlap.

    Columns: layer, depth (0 at the input), one, other (the runs' names), jaccard (|A ∩ B| / |A ∪ B|), chance (that of
    two random sets of these sizes), one_in_other (|A ∩ B| / |A|), other_in_one. Missing where a set is empty.

    Args:
        survivors: for each run a frame with the columns layer, channel, norm: `Run.groups()`, or the table `groups`.

    Raises:
        ValueError: two runs whose networks differ in layers or channels.

    """
    masks = {name: _mask(frame) for name, frame in survivors.items()}
    rows = []
    for one, other in combinations(masks, 2):
        if not masks[one].index.equals(masks[other].index):
            raise ValueError(f"`survivors` must be of runs with the same network, got others in {one} and {other}.")
        both = pd.DataFrame({"one": masks[one], "other": masks[other]})
        for depth, (layer, own) in enumerate(both.groupby(level="layer", sort=False)):
            rows.append([layer, depth, one, other, *_figures(own)])
    return pd.DataFrame(rows, columns=COLUMNS)


def _mask(frame: pd.DataFrame) -> "pd.Series[bool]":
    own = frame.assign(layer=frame["layer"].astype(str)).set_index(["layer", "channel"])["norm"]
    return own > 0


def _figures(own: pd.DataFrame) -> list[float]:
    a, b, n = int(own["one"].sum()), int(own["other"].sum()), len(own)
    common = int((own["one"] & own["other"]).sum())
    by_chance = a * b / n
    return [
        _ratio(common, a + b - common),
        _ratio(by_chance, a + b - by_chance),
        _ratio(common, a),
        _ratio(common, b),
    ]


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
