"""What a network costs and how sparse it is: parameters, multiply-accumulates (MACs), zero groups, seconds.

A zero saves nothing by itself: the MACs of zero groups are those that removal could save, not those saved.
"""

import time
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from engine.evaluating import evaluating
from engine.groups import Axis, Group, banks, input_groups


def sparsity(model: nn.Module, example: Tensor | None = None, groups: Sequence[Group] | None = None) -> pd.DataFrame:
    """Return one row per layer and a last one, `total`.

    Columns: layer, groups, zero_groups, parameters, zero_parameters, macs, zero_macs (of one image; NaN without an
    `example` (B, C, H, W)), and the three sparsities in per cent. By default the input groups of the whole model.
    Coupled groups share weights: their sums count those twice (`engine.tally` does not).
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


def cost(model: nn.Module, example: Tensor) -> pd.DataFrame:
    """Return parameters and MACs of one image: a row per component (trunk, each head) and a last one, `total`.

    MACs are half the floating-point operations that torch's own counter reports for `example` (B, C, H, W).
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
    rows.append(["total", sum(p.numel() for p in model.parameters()), sum(counted.values())])
    return pd.DataFrame(rows, columns=["component", "parameters", "macs"])


def layer_macs(model: nn.Module, example: Tensor) -> dict[str, float]:
    """Return the MACs of one image for every module without children, by its name in `model`."""
    leaves = {name for name, module in model.named_modules() if name and not any(module.children())}
    with evaluating(model), torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(example)
    prefix = f"{type(model).__name__}."
    found: dict[str, float] = {}
    for name, operations in counter.get_flop_counts().items():
        short = name.removeprefix(prefix)
        if short in leaves:
            found[short] = sum(operations.values()) / 2 / len(example)
    return found


def latency(model: nn.Module, example: Tensor, *, rounds: int = 20, threads: int | None = None) -> pd.DataFrame:
    """Return seconds per forward pass of `example` in eval mode: median, p10, p90, and the threads used.

    Two passes warm up. A spread p90/p10 above 1.5 says that the machine was busy: do not quote such a figure.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    with evaluating(model), torch.inference_mode():
        seconds = [_timed(model, example) for _ in range(rounds + 2)][2:]
    used = torch.get_num_threads()
    torch.set_num_threads(before)
    p10, median, p90 = np.percentile(seconds, [10, 50, 90])
    return pd.DataFrame([{"batch": len(example), "median": median, "p10": p10, "p90": p90, "threads": used}])


def _macs_per_channel(macs: Mapping[str, float], module: str, axis: Axis) -> float:
    """Return the MACs that the weights of one channel make; biases and norms make none."""
    if axis.parameter.dim() < 2:
        return 0.0
    return macs.get(module, np.nan) * axis.size / axis.parameter.numel()


def _timed(model: nn.Module, example: Tensor) -> float:
    _finish(example)
    start = time.perf_counter()
    model(example)
    _finish(example)
    return time.perf_counter() - start


def _finish(example: Tensor) -> None:
    if example.is_cuda:
        torch.cuda.synchronize(example.device)


def _within(module: str, component: str) -> bool:
    return module == component or module.startswith(f"{component}.")
