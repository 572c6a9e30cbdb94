"""How much faster is a smaller model? Both are timed in turns, so that a busy machine slows both alike."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from winnow.engine.graph.modes import evaluating

WARM_UP = 2


@dataclass(frozen=True)
class Pace:
    """The time of a smaller model ÷ that of the dense one, round by round: median, and where 80 % of the rounds lie."""

    ratio: float
    p10: float
    p90: float


def pace(dense: nn.Module, small: nn.Module, inputs: dict[str, Any], rounds: int = 20) -> Pace:
    """Return the pace of a smaller model on named inputs, in evaluation mode, with torch's number of threads."""
    device = next((parameter.device for parameter in dense.parameters()), torch.device("cpu"))
    ratios = []
    with evaluating(dense), evaluating(small), torch.inference_mode():
        for turn in range(rounds + WARM_UP):
            order = (dense, small) if turn % 2 else (small, dense)
            seconds = {id(model): _seconds(model, inputs, device) for model in order}
            ratios.append(seconds[id(small)] / seconds[id(dense)])
    p10, median, p90 = np.percentile(ratios[WARM_UP:], [10, 50, 90])
    return Pace(float(median), float(p10), float(p90))


def _seconds(model: nn.Module, inputs: dict[str, Any], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    model(**inputs)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start
