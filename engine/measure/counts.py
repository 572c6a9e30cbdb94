"""What a network costs by count, and how much of it is zero: parameters and multiply-accumulates (MACs).

MACs are half of the operations that torch's own formulas give (`engine.graph.weighing`). A zero saves nothing by
itself: the MACs of zero groups are those that removal could save, not those saved.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from torch import nn

from winnow.engine.graph.weighing import weigh
from winnow.engine.graph.wrappers import unwrapped
from winnow.engine.sparsity.groups import Axis, Group, banks, input_groups


def cost(model: nn.Module, example_inputs: Any) -> pd.DataFrame:
    """Return parameters and MACs of one image: one row per component (trunk, each head) and a last one, `total`.

    MACs belong to the component whose weights make them; what no weight makes (queries with keys) is in the total
    alone. Columns: component, parameters [1], macs [1]. `example_inputs`: see `engine.graph.calls.calls`.

    Examples:
        >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> cost(net, torch.ones(1, 4)).set_index("component")["parameters"].to_dict()["total"]  # 4·3 + 3 + 3·2 + 2
        23

    """
    model, _ = unwrapped(model)
    total, by_weight = weigh(model, example_inputs)
    components = [
        (f"{name}.{inner}", part) if isinstance(child, nn.ModuleDict) else (name, child)
        for name, child in model.named_children()
        for inner, part in (child.named_children() if isinstance(child, nn.ModuleDict) else [("", child)])
    ]
    rows = [
        [name, sum(p.numel() for p in part.parameters()), sum(v for k, v in by_weight.items() if _within(k, name))]
        for name, part in components
    ]
    rows.append(["total", parameters(model), total])
    return pd.DataFrame(rows, columns=["component", "parameters", "macs"])


def parameters(model: nn.Module) -> int:
    """Return the number of parameters; one that is tied counts once.

    Examples:
        >>> parameters(nn.Linear(4, 2))  # 8 weights, 2 biases
        10

    """
    return sum(parameter.numel() for parameter in model.parameters())


def macs(model: nn.Module, example_inputs: Any) -> float:
    """Return the MACs of one image; NaN where an operation multiplies weights and torch has no formula for it.

    `example_inputs`: see `engine.graph.calls.calls`.

    Examples:
        >>> macs(nn.Linear(4, 2), torch.ones(1, 4))
        8.0

    """
    return weigh(model, example_inputs)[0]


def layer_macs(model: nn.Module, example_inputs: Any) -> dict[str, float]:
    """Return the MACs of one image for every module that holds a weight matrix or kernel, by its name in `model`.

    Wrappers such as DistributedDataParallel have no part in the name; sharded parameters (FSDP) are refused.

    Those of a function on a weight (`F.conv2d`), or of a layer that is never called (`out_proj` of an attention
    layer), count for the module that holds the weight; those of a tied weight for the first that holds it.
    `example_inputs`: see `engine.graph.calls.calls`.

    Examples:
        >>> layer_macs(nn.Sequential(nn.Conv2d(3, 8, 3)), torch.ones(1, 3, 8, 8))  # 24 kernels of 9, at 36 places
        {'0': 7776.0}

    """
    found: dict[str, float] = {}
    for name, count in weight_macs(model, example_inputs).items():
        module = name.rpartition(".")[0]
        found[module] = found.get(module, 0.0) + count
    return found


def weight_macs(model: nn.Module, example_inputs: Any) -> dict[str, float]:
    """Return the MACs of one image for every parameter of two axes or more, by its name; 0 where it makes none."""
    return weigh(model, example_inputs)[1]


def sparsity_table(model: nn.Module, example_inputs: Any = None, groups: Sequence[Group] | None = None) -> pd.DataFrame:
    """Return how much of each layer is zero: one row per layer and a last one, `total`.

    Columns: layer, groups, zero_groups, parameters, zero_parameters, macs, zero_macs (of one image; NaN without
    `example_inputs`), and the three sparsities in per cent. `groups` are by default the input groups of the whole
    model. Coupled groups share weights, which are counted twice here (`engine.sparsity.counts` counts them once).
    """
    model, _ = unwrapped(model)
    macs = weight_macs(model, example_inputs) if example_inputs is not None else {}
    named = {id(parameter): name for name, parameter in model.named_parameters()}
    rows = []
    for bank in banks(input_groups(model) if groups is None else groups):
        present = int(bank.present.sum())
        zero = int(((bank.norms() == 0) & bank.present).sum())
        per_group = sum(_macs_per_channel(macs, named[id(axis.parameter)], axis) for axis in bank.members)
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


def _within(weight: str, component: str) -> bool:
    return weight.startswith(f"{component}.")


def _macs_per_channel(macs: Mapping[str, float], name: str, axis: Axis) -> float:
    """Return the MACs of the weights of one channel; biases and norms have none."""
    if axis.parameter.dim() < 2:
        return 0.0
    return macs.get(name, np.nan) * axis.size / axis.parameter.numel()
