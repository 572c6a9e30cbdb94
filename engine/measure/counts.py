"""What a network costs by count, and how much of it is zero: parameters and multiply-accumulates (MACs).

MACs are half of what torch's own counter (`FlopCounterMode`) reports. A zero saves nothing by itself: the MACs of zero
groups are those that removal could save, not those saved.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from winnow.engine.graph.examples import batch_size
from winnow.engine.graph.modes import evaluating
from winnow.engine.graph.trace import named_inputs
from winnow.engine.sparsity.groups import Axis, Group, banks, input_groups


def cost(model: nn.Module, example: Tensor) -> pd.DataFrame:
    """Return parameters and MACs of one image: one row per component (trunk, each head) and a last one, `total`.

    MACs are half the floating-point operations that torch's own counter reports for `example` (B, C, H, W). Those of
    functions on parameters (`F.conv2d`) belong to no layer: only the total includes them.
    """
    counted = layer_macs(model, example)
    components = [
        (f"{name}.{inner}", part) if isinstance(child, nn.ModuleDict) else (name, child)
        for name, child in model.named_children()
        for inner, part in (child.named_children() if isinstance(child, nn.ModuleDict) else [("", child)])
    ]
    rows = [
        [name, sum(p.numel() for p in part.parameters()), sum(v for k, v in counted.items() if _within(k, name))]
        for name, part in components
    ]
    rows.append(["total", parameters(model), macs(model, example)])
    return pd.DataFrame(rows, columns=["component", "parameters", "macs"])


def parameters(model: nn.Module) -> int:
    """Return the number of parameters; one that is tied counts once."""
    return sum(parameter.numel() for parameter in model.parameters())


def macs(model: nn.Module, example_inputs: Any) -> float:
    """Return the MACs of one image: half of what torch's FlopCounterMode counts in one pass, by the images in it."""
    inputs = named_inputs(model, example_inputs)
    with evaluating(model), torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(**inputs)
    return float(counter.get_total_flops()) / 2 / batch_size(inputs)


def layer_macs(model: nn.Module, example: Tensor) -> dict[str, float]:
    """Return the MACs of one image for every module without children, by its name in `model`.

    Examples:
        >>> layer_macs(nn.Sequential(nn.Conv2d(3, 8, 3)), torch.ones(1, 3, 8, 8))  # 24 kernels of 9, at 36 places
        {'0': 7776.0}

    """
    layers = {name for name, module in model.named_modules() if name and not any(module.children())}
    with evaluating(model), torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(example)
    prefix = f"{type(model).__name__}."
    found: dict[str, float] = {}
    for name, operations in counter.get_flop_counts().items():
        short = name.removeprefix(prefix)
        if short in layers:
            found[short] = sum(operations.values()) / 2 / len(example)
    return found


def sparsity_table(
    model: nn.Module, example: Tensor | None = None, groups: Sequence[Group] | None = None
) -> pd.DataFrame:
    """Return how much of each layer is zero: one row per layer and a last one, `total`.

    Columns: layer, groups, zero_groups, parameters, zero_parameters, macs, zero_macs (of one image; NaN without an
    `example` (B, C, H, W)), and the three sparsities in per cent. `groups` are by default the input groups of the whole
    model. Coupled groups share weights, which are counted twice here (`engine.sparsity.counts` counts them once).
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


def _within(module: str, component: str) -> bool:
    return module == component or module.startswith(f"{component}.")


def _macs_per_channel(macs: Mapping[str, float], module: str, axis: Axis) -> float:
    """Return the MACs of the weights of one channel; biases and norms have none."""
    if axis.parameter.dim() < 2:
        return 0.0
    return macs.get(module, np.nan) * axis.size / axis.parameter.numel()
