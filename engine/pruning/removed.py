"""What a removal took from each layer, as a frame."""

import math
from collections import defaultdict
from collections.abc import Sequence

import pandas as pd
from torch import nn

from winnow.engine.pruning.shrinking import Cut


def removed(cuts: Sequence[Cut], small: nn.Module) -> pd.DataFrame:
    """Return one row per layer that is not what it was.

    Columns: layer, shape_before and shape_after (of its weight, or of its first parameter; empty if the layer is
    gone), parameters_before, parameters_after.
    """
    left = dict(small.named_parameters())
    layers: dict[str, list[Cut]] = defaultdict(list)
    for cut in cuts:
        if isinstance(cut.after, nn.Parameter):
            layers[cut.name.rpartition(".")[0]].append(cut)
    rows = []
    for layer, parts in layers.items():
        names = {name for name in left if name.rpartition(".")[0] == layer}
        before, after = (
            sum(math.prod(cut.shape) for cut in parts if cut.shape),
            sum(left[name].numel() for name in names),
        )
        if before != after or any(cut.stays for cut in parts):
            first = next((cut for cut in parts if cut.name.endswith("weight")), parts[0])
            shape = _shape(left[first.name].shape) if first.name in left else ""
            rows.append([layer, _shape(first.shape), shape, before, after])
    columns = ["layer", "shape_before", "shape_after", "parameters_before", "parameters_after"]
    return pd.DataFrame(rows, columns=columns)


def _shape(shape: Sequence[int]) -> str:
    return "×".join(str(length) for length in shape)
