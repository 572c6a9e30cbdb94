"""What a network costs by count: parameters and multiply-accumulates (MACs). torch's own counter is the judge."""

from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from winnow.engine.graph.examples import batch_size
from winnow.engine.graph.modes import evaluating
from winnow.engine.graph.trace import named_inputs


def cost(model: nn.Module, example: Tensor) -> pd.DataFrame:
    """Return parameters and MACs of one image: a row per component (trunk, each head) and a last one, `total`.

    MACs are half the floating-point operations that torch's own counter reports for `example` (B, C, H, W). Those of
    functions on parameters (`F.conv2d`) belong to no layer: only the total holds them.
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


def _within(module: str, component: str) -> bool:
    return module == component or module.startswith(f"{component}.")
