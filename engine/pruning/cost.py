"""When a gather pays: multiply-accumulates saved against bytes moved, in seconds of this machine.

The three coefficients come from a short timed probe, once per process, device and memory format: a convolution, a
gather of as many channels, and a gather of almost nothing. Give `Coefficients` of your own for a decision that is the
same everywhere.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from winnow.engine.graph.examples import is_channels_last
from winnow.engine.graph.modes import memory_unfilled
from winnow.engine.pruning.selecting import picked_units

ROUNDS = 15


@dataclass(frozen=True)
class Coefficients:
    """Seconds per multiply-accumulate, per byte read or written, and per operation."""

    per_mac: float
    per_byte: float
    per_call: float

    def pays(self, macs: float, moved: float) -> bool:
        """Whether saving `macs` is worth a gather that reads and writes `moved` bytes."""
        return macs * self.per_mac > moved * self.per_byte + self.per_call


@cache
def measured_cost(device: torch.device, layout: torch.memory_format = torch.contiguous_format) -> Coefficients:
    """Return the coefficients of a device and a memory format, from a probe of some tens of milliseconds."""

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, device=device).contiguous(memory_format=layout)

    x, half, little, weight = drawn(1, 128, 32, 32), drawn(1, 64, 32, 32), drawn(1, 2, 1, 1), drawn(64, 64, 3, 3)
    index = torch.arange(0, 128, 2, device=device)
    with torch.inference_mode(), memory_unfilled():
        convolution = _seconds(lambda: functional.conv2d(half, weight, padding=1), device)
        gather = _seconds(lambda: picked_units(x, index, -3), device)
        call = _seconds(lambda: picked_units(little, index[:1], -3), device)
    macs, moved = 64 * 64 * 9 * 32 * 32, 2 * half.numel() * half.element_size()
    return Coefficients(max(convolution - call, 1e-9) / macs, max(gather - call, 1e-9) / moved, call)


def device_of(model: nn.Module) -> torch.device:
    """Return the device of a model's parameters."""
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))


def layout_of(model: nn.Module, inputs: Iterable[Any]) -> torch.memory_format:
    """Return the memory format that a model works in: channels last if its kernels or an input lie so."""
    tensors = [*model.parameters(), *(value for value in inputs if isinstance(value, Tensor))]
    return torch.channels_last if any(map(is_channels_last, tensors)) else torch.contiguous_format


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    """Return the median time of some work."""
    found = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        found.append(time.perf_counter() - start)
    return sorted(found)[ROUNDS // 2]
