"""How much of a network is zero.

A zero saves nothing by itself: the MACs of zero groups are those that removal could save, not those saved.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from torch import Tensor, nn

from winnow.engine.measure.counts import layer_macs
from winnow.engine.sparsity.groups import Axis, Group, banks, input_groups


def sparsity(model: nn.Module, example: Tensor | None = None, groups: Sequence[Group] | None = None) -> pd.DataFrame:
    """Return one row per layer and a last one, `total`.

    Columns: layer, groups, zero_groups, parameters, zero_parameters, macs, zero_macs (of one image; NaN without an
    `example` (B, C, H, W)), and the three sparsities in per cent. By default the input groups of the whole model.
    Coupled groups share weights: their sums count those twice (`engine.sparsity.counts` does not).
    """
    macs = layer_macs(model, example) if example is not None else {}
    owner = {id(parameter): name.rpartition(".")[0] for name, parameter in model.named_parameters()}
    rows = []
    for bank in banks(input_groups(model) if groups is None else groups):
        present = int(bank.present.sum())
        zero = int(((bank.norms() == 0) & bank.present).sum())
        per_group = sum(_macs_per_channel(macs, owner[id(axis.parameter)], axis) for axis in bank.members)
        rows.append(
            [bank.layer, present, zero, present * bank.size, zero * bank.size, per_group * present, per_group * zero]
        )
    columns = ["layer", "groups", "zero_groups", "parameters", "zero_parameters", "macs", "zero_macs"]
    frame = pd.DataFrame(rows, columns=columns)
    total = frame.drop(columns="layer").sum(skipna=False)
    frame.loc[len(frame)] = ["total", *total]
    for name, plural in (("group", "groups"), ("parameter", "parameters"), ("mac", "macs")):
        frame[f"{name}_sparsity"] = 100 * frame[f"zero_{plural}"] / frame[plural]
    return frame


def _macs_per_channel(macs: Mapping[str, float], module: str, axis: Axis) -> float:
    """Return the MACs that the weights of one channel make; biases and norms make none."""
    if axis.parameter.dim() < 2:
        return 0.0
    return macs.get(module, np.nan) * axis.size / axis.parameter.numel()
