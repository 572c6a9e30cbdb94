"""Do tasks choose the same channels? Masks of survivors of several runs, layer by layer. Free of torch.

Where single-task runs agree early and part ways late, the layers up to there are what the tasks want to share: the
watershed of DiSparse (Sun et al., arXiv 2206.04662). Held against a multi-task run: which of its survivors does each
task want on its own?
"""

from collections.abc import Mapping
from itertools import combinations

import pandas as pd

COLUMNS = ["layer", "depth", "one", "other", "jaccard", "chance", "one_in_other", "other_in_one"]


def mask_overlap(survivors: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return, for every layer and every two runs, how far their surviving channels are the same.

    Columns: layer, depth (0 at the input), one, other (the runs' names), jaccard (|A ∩ B| / |A ∪ B|), chance (what two
    random sets of these sizes would have), one_in_other (|A ∩ B| / |A|), other_in_one. Missing where a set is empty.

    Args:
        survivors: by run, a frame with the columns layer, channel, norm: `Run.groups()`, or the table `groups`.

    Raises:
        ValueError: two runs whose networks differ in layers or channels.

    """
    masks = {name: _mask(frame) for name, frame in survivors.items()}
    rows = []
    for one, other in combinations(masks, 2):
        if not masks[one].index.equals(masks[other].index):
            raise ValueError(f"`survivors` should be of runs with one network. Found two: {one} and {other}.")
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
